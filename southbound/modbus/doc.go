// Package modbus polls Modbus devices and writes to them: it is a
// [bridge.Source] and a [bridge.Writer].
//
//	setup.Config ──resolve──▶ devices ──divide──▶ jobs (a device's points of one interval)
//	                                          │ blocks, on a wall-clock grid
//	            bus: earliest deadline first ─┤
//	                                          ▼
//	         wire.Link ◀─request, answer─▶ unit   ──decode──▶ one batch a cycle ──▶ emit
//
// Plan. Points of one device and interval are read in the requests that take
// the least time together: a request costs a round trip, a register read in
// vain costs its characters on the line (see [Plan]). What a device refuses, an
// address or a length, is found in few requests while the rest arrives in the
// same cycle; it counts from the second time on, is remembered over restarts
// and tried again later. Points of SunSpec models are where the device's own list
// says (see survey).
//
// Time. One goroutine owns each bus; buses never wait for each other. Polls are
// aligned to the wall clock: each device has a fixed phase of its interval, and
// a step of the clock neither skips nor doubles a poll. Of the cycles that are
// due, the one with the earliest deadline gets the next request. A cycle that
// does not fit is counted as late and never piles up. Writes are next, but for
// one request that reads.
//
// Trouble. A device that is off, silent, slow or answers with an exception gives
// bad readings with a reason. After two failed polls it is only probed, with
// growing pauses, in slack time where there is any and within a tenth of the
// bus's time. It may be off when the gateway starts.
//
// Requests are built and answers checked by goburrow/modbus; the transports
// under it are ours (package wire).
package modbus
