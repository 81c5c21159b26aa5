package bridge

import "time"

// Count is a number of batches and of the readings in them, good and bad.
type Count struct {
	Batches  uint64 `json:"batches"`
	Readings uint64 `json:"readings"`
}

// Add returns c + d.
func (c Count) Add(d Count) Count {
	return Count{c.Batches + d.Batches, c.Readings + d.Readings}
}

// Sub returns c - d.
func (c Count) Sub(d Count) Count {
	return Count{c.Batches - d.Batches, c.Readings - d.Readings}
}

// Ledger is the account of the promise: what entered the queue and where it is
// or went. At any instant
//
//	Accepted + Restored + Aggregates = Acked + Dropped + Dead + Damaged + Waiting + Thinned + Merged
//
// Dead and Waiting are gauges; the others count since the start.
type Ledger struct {
	Accepted Count `json:"accepted"` // appended since the start
	Restored Count `json:"restored"` // found at the start: waiting, dead or damaged
	Acked    Count `json:"acknowledged"`
	Dropped  Count `json:"dropped"` // by the limits, or by the user
	Dead     Count `json:"dead"`    // set aside as dead letters
	Damaged  Count `json:"damaged"` // could not be read back
	Waiting  Count `json:"waiting"` // not yet acknowledged, claimed ones included

	// Thinned is the readings that aggregates stand for now, the sum of their n, and the
	// batches of which nothing is left. Merged are readings of aggregates that became part
	// of others, Aggregates those that were made: they have no batches of their own.
	Thinned    Count `json:"thinned,omitzero"`
	Merged     Count `json:"merged,omitzero"`
	Aggregates Count `json:"aggregates,omitzero"`
}

// Balanced reports whether the account adds up.
func (l Ledger) Balanced() bool {
	return l.Accepted.Add(l.Restored).Add(l.Aggregates) ==
		l.Acked.Add(l.Dropped).Add(l.Dead).Add(l.Damaged).Add(l.Waiting).Add(l.Thinned).Add(l.Merged)
}

// RunRecord tells the cloud that a run began and how far the one before it got,
// so that a reader of the messages alone can tell a gap from an end.
type RunRecord struct {
	Run string `json:"run"`
	// Gateway is whose run it is, "" if it is that of the gateway that tells it; so is
	// PreviousGateway of Previous.
	Gateway         string    `json:"gateway,omitempty"`
	PreviousGateway string    `json:"previous_gateway,omitempty"`
	Started         time.Time `json:"-"`
	// Previous is the run before in this queue directory, "" for the first.
	Previous string `json:"previous,omitempty"`
	// PreviousLast is a lower bound of its last seq: the last one known durable
	// or acknowledged.
	PreviousLast uint64 `json:"previous_last,omitempty"`
}

// Tombstone tells what is missing and why.
type Tombstone struct {
	ID  uint64 `json:"-"`
	Run string `json:"run"`
	// Gateway is whose run it is, "" if it is that of the gateway that tells it.
	Gateway string `json:"gateway,omitempty"`
	First   uint64 `json:"first"` // seq
	// Last is the last seq that is missing; 0 if it is not known (all to the
	// end of the run may be).
	Last  uint64 `json:"last,omitempty"`
	Count Count  `json:"count"`
	Cause string `json:"cause"` // dropped_full, dropped_age, purged, damaged ...
	// Since and Until are the acquisition times of the first and the last, if known.
	Since time.Time `json:"-"`
	Until time.Time `json:"-"`
}

// Notices is what the queue wants to be told to the cloud beside the readings.
// A notice stays until it is acknowledged, over restarts too.
type Notices interface {
	RunNotices
	TombstoneNotices
	// Noticed receives a value when there may be something new.
	Noticed() <-chan struct{}
}

// RunNotices are the run records that the cloud does not have yet.
type RunNotices interface {
	// Runs returns those not yet acknowledged, the oldest first.
	Runs() []RunRecord
	// AckRuns says that the cloud has these; others are left alone.
	AckRuns(runs ...string)
}

// TombstoneNotices are the tombstones that the cloud does not have yet.
type TombstoneNotices interface {
	// Tombstones returns those not yet acknowledged and freezes them: they will
	// not change any more.
	Tombstones() []Tombstone
	// AckTombstones says that the cloud has these; others are left alone.
	AckTombstones(ids ...uint64)
}
