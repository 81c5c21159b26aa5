package bridge

import (
	"context"
	"time"
)

// Command asks for a point of a device to be set, or for several.
type Command struct {
	Device string
	Point  string
	Value  Value // in the point's engineering unit; an enum also takes its name as text
	// Set are several points, instead of Point. Those that follow one another in
	// this order and on the device are written in one request.
	Set []Setting
	// ByAddress has those of Set written in the order of their addresses.
	ByAddress bool
	// ByHand says that somebody on the machine asks for it: it is written though
	// commands are switched off.
	ByHand bool
}

// Setting is a value for a point, as those of [Command].
type Setting struct {
	Point string
	Value Value
}

// WriteOutcome is what became of a [Command].
type WriteOutcome uint8

// The outcomes. The zero value is the most careful one.
const (
	// Failed is that it was tried: the device may have the value or not.
	Failed WriteOutcome = iota
	// Done is that the device was read and has the value.
	Done
	// Unconfirmed is that it was written, and nothing was to be read back, or it
	// did not show in time.
	Unconfirmed
	// Refused is that nothing was carried out, and nothing will be.
	Refused
)

// Written tells what became of a [Command].
type Written struct {
	Outcome WriteOutcome
	// Enough says of [Unconfirmed] that the configuration asks for no more.
	Enough bool
	// Text says why it is not done, or what else is to be known.
	Text string
}

// NotWritten is that nothing was written for err: refused if err is permanent in
// the sense of [IsPermanent], else failed.
func NotWritten(err error) Written {
	if IsPermanent(err) {
		return Written{Outcome: Refused, Text: err.Error()}
	}
	return Written{Text: err.Error()}
}

// Writer is a [Source] that can also set points.
type Writer interface {
	// Write sets a point, at most once, and returns when it is known what became
	// of it, or when as much time has passed as the point's configuration gives
	// it. What the device answers after it was written never makes it Refused. It
	// is safe for concurrent use and ends with ctx.
	Write(ctx context.Context, c Command) Written
}

// Reader is a [Source] whose devices can be read at once.
type Reader interface {
	// ReadNow reads points of a device, all if none are named, ahead of its
	// polls. It returns them as read, bad ones too: a device that does not answer
	// is not an error. They are emitted as well, in a batch that is [Batch.Whole]. It
	// returns an error marked by [Permanent] where the device cannot be asked: it
	// is not there, has no such point, or speaks only by itself. It is safe for
	// concurrent use and ends with ctx.
	ReadNow(ctx context.Context, device string, points []string) ([]Reading, error)
}

// Pacer is a [Source] whose devices can be polled at another interval for a
// while.
type Pacer interface {
	// SetInterval polls the points that follow the device's own interval every so
	// often, until length is over; then they go back by themselves. every 0 takes
	// them back at once. A restart, or another configuration of the device, takes
	// them back, too. It returns an error marked by [Permanent] when it is refused:
	// no such device, out of bounds, or more than its bus can do. It is safe for
	// concurrent use and ends with ctx.
	SetInterval(ctx context.Context, device string, every, length time.Duration) error
}

// IntervalStatus is another interval that a device is polled at for a while.
type IntervalStatus struct {
	Device string        `json:"device"`
	Every  time.Duration `json:"every"`
	Usual  time.Duration `json:"usual"`
	Until  time.Time     `json:"until"`
}
