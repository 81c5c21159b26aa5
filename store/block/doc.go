// Package block turns batches into bytes and back: one compressed block of
// batches of one run, with a header that can be read by itself.
//
// A block is what one commit writes: up to some 32,000 readings of many devices.
// It is columnar, since the readings of one point resemble one another, and those
// of different points do not: the names come once, then the table of batches, then
// the values of each point of all batches that have it. Differences of neighbours
// are small, and zstd takes what is left. A slowly changing reading costs less than
// a byte, a noisy float32 less than four.
//
// Nothing that a block says of itself is believed before its checksum is right,
// and nothing of it can make a reader take more memory than the bounds below. The
// layout is described byte by byte in format.md of package store; version 1 is
// read, version 2 is written.
//
// The package is pure: it knows neither files nor clocks. An [Encoder] and a
// [Decoder] keep their buffers and are for one goroutine at a time; everything else
// is safe for concurrent use.
package block
