//go:build !linux

package socket

import "time"

// Alarms wakes many who wait by one timer, where the system has such.
type Alarms struct{}

// NewAlarms returns nil: alarms are timers of Go's here.
func NewAlarms() *Alarms { return nil }

// Close ends the clock.
func (*Alarms) Close() error { return nil }

func (*Alarms) set(*Alarm, time.Time) {}
