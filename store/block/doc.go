// Package block turns batches into bytes and back: one compressed block of
// batches of one run, with a header that can be read by itself. The layout is
// described in format.md of package store.
//
// The package is pure: it knows neither files nor clocks.
package block
