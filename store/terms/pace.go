package terms

import (
	"fmt"
	"time"

	"fieldbridge/setting"
)

// Pace is how long readings may be in memory alone before they are written: a time,
// or [Linger].
type Pace setting.Duration

// Linger writes nothing that the cloud acknowledges in good time after the uplink's
// linger, whatever that is.
const Linger Pace = -1

const lingerText = "linger"

// UnmarshalText reads a time, or linger.
func (p *Pace) UnmarshalText(text []byte) error {
	if string(text) == lingerText {
		*p = Linger
		return nil
	}
	var d setting.Duration
	if err := d.UnmarshalText(text); err != nil {
		return fmt.Errorf("%w, or linger", err)
	}
	*p = Pace(d)
	return nil
}

// String writes p as it is read.
func (p Pace) String() string {
	if p == Linger {
		return lingerText
	}
	return setting.Duration(p).String()
}

// Hurry is how old what is in memory gets while the power fails: with the time that the
// disk takes it is on disk within 100 ms.
const Hurry = 50 * time.Millisecond

// AckTime is how long a message may take to the cloud and its acknowledgement back
// before it is written, with commit_every: linger.
const AckTime = 5 * time.Second

// CommitWithin returns the most that a power cut takes of polled readings: how old
// they become in memory before they are written, with a connection or without one. What
// the flash budget makes of it is not in it.
func (c *Config) CommitWithin(online bool) time.Duration {
	switch {
	case c.CommitEvery != Linger:
		return time.Duration(c.CommitEvery)
	case online:
		return c.Linger + AckTime
	}
	return DefaultCommitEvery
}
