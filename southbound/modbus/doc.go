// Package modbus polls Modbus devices: it is a [bridge.Source].
//
// Points of one device and interval are read in as few requests as possible
// (see [Plan]). One goroutine owns each bus; buses never wait for each other.
// Polls are aligned to the wall clock: each device has a fixed phase of its
// interval, and a step of the clock neither skips nor doubles a poll. Each
// cycle of a device becomes one batch, stamped with the arrival of its first
// answer.
//
// A device that is off, silent, slow or answers with an exception gives bad
// readings with a reason. It is tried again with growing pauses, delays no
// other bus and may be off when the gateway starts.
//
// Requests are built and answers checked by goburrow/modbus; the transports
// under it are ours (package wire).
package modbus
