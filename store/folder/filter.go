package folder

import (
	"slices"
	"time"

	"fieldbridge/bridge"
)

// Filter says which batches the entries of a queue gives. Zero fields allow all.
// Both ends are wall-clock time as the batch has it, right or not.
type Filter struct {
	Since, Until time.Time // acquisition, Since <= at < Until
	Device       string
}

// Allows reports whether a batch is given.
func (f *Filter) Allows(e *bridge.Entry) bool {
	return (f.Since.IsZero() || !e.At.Before(f.Since)) && (f.Until.IsZero() || e.At.Before(f.Until)) &&
		(f.Device == "" || e.Device == f.Device)
}

// Exported says what the entries of a queue has given: all batches in its ranges that
// the filter allows and that waited then.
// A queue that forgets is given it, so that only what was exported goes: what came
// or became readable in between stays.
type Exported struct {
	Run    string  `json:"run"` // of the gateway, empty of a stopped one
	Ranges []Range `json:"ranges"`
	// Unread are segments of which something could not be read: what they have
	// is not in the ranges.
	Unread int `json:"unread,omitempty"`
}

// Range is the positions From <= p < To.
// Positions are the queue's own: they mean nothing in another folder.
type Range struct {
	From bridge.Position `json:"from"`
	To   bridge.Position `json:"to"`
}

// Add notes that all from from on, below to, was given.
func (x *Exported) Add(from, to bridge.Position) {
	if n := len(x.Ranges); n > 0 && x.Ranges[n-1].To == from {
		x.Ranges[n-1].To = to
		return
	}
	x.Ranges = append(x.Ranges, Range{from, to})
}

// Has reports whether a position was given.
func (x *Exported) Has(p bridge.Position) bool {
	return slices.ContainsFunc(x.Ranges, func(r Range) bool { return r.From <= p && p < r.To })
}
