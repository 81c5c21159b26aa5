// Package attendance knows how often each sensor speaks and when it was heard, and
// writes that down so that it outlives the gateway: a sensor that died is missed,
// also after a restart.
//
// It has no clock, no file and no goroutine: its caller brings times and keeps what
// it returns.
package attendance
