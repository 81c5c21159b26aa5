package poll

import (
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
)

// block is a block of a plan, or a part of one, and how it did.
type block struct {
	plan.Block

	failed int           // reads in a row that failed
	reason bridge.Reason // why
	again  time.Time     // when to try again, after silence
	told   bool          // it was logged
	since  time.Time     // the first of these reads
	split  time.Time     // not taken apart before
	proved bool          // it was read once
	trial  bool          // of a point that is given up
	hush   time.Time     // the first of the reads in a row that were not answered; zero if the last was
	took   time.Duration // a read, of late; 0 is not known
	texts  []string      // that its fields of strings had last, in their order
	data   []byte        // of the last read, empty if it failed; guarded by the device's mu

	part  *plan.Part // of an inquiry; nil for a block of the plan
	whole *block     // that the inquiry is about
}

// Pauses between probes of a sick device, and of a silent block.
const (
	minProbePause = time.Second
	maxProbePause = time.Minute
)

// lastTexts returns the strings that the fields of b had last, one for each field
// of a string: one that stays costs no memory.
func (b *block) lastTexts() []string {
	if b.texts == nil {
		n := 0
		for i := range b.Fields {
			if b.Fields[i].Kind == point.KindString {
				n++
			}
		}
		b.texts = make([]string, n)
	}
	return b.texts
}

// takes returns how long a read of the block took of late, or what it is
// reckoned to take.
func (b *block) takes(c plan.Cost) time.Duration {
	if b.took > 0 {
		return b.took
	}
	return c.Takes(b.Table, b.Count)
}

// measure notes how long a read took.
func (b *block) measure(took time.Duration) {
	if b.took == 0 {
		b.took = took
		return
	}
	b.took += (took - b.took) / 8
}

// fail notes that a read failed. Silence on one block of a device that answers
// others is not waited for in each cycle.
func (b *block) fail(reason bridge.Reason, answered bool, now time.Time) {
	if b.failed++; b.failed == 1 {
		b.since = now
	}
	b.reason = reason
	b.again = time.Time{}
	if answered {
		b.hush = time.Time{}
	} else if b.hush.IsZero() {
		b.hush = now
	}
	if !answered {
		b.again = now.Add(min(minProbePause<<min(b.failed, 10), maxProbePause))
	}
}

// all returns the block of the plan that b is, or is a part of.
func (b *block) all() *block {
	if b.part != nil {
		return b.whole
	}
	return b
}
