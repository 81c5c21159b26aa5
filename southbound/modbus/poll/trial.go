package poll

import (
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
)

// trials are the pauses after which a point that a device refuses is tried again,
// alone; the last one is that of [plan.ForgetAfter].
var trials = [...]time.Duration{time.Minute, 10 * time.Minute, time.Hour, plan.ForgetAfter}

// soonTried is the pause of a point that was good before.
const soonTried = 50 * time.Second

// trial says when a point that is given up is tried again.
type trial struct {
	field *point.Field
	tried int
	next  time.Time
	good  bool // it was, before
}

// pause returns the time until the next try.
func (t *trial) pause() time.Duration {
	if t.good {
		return soonTried
	}
	return trials[min(t.tried, len(trials)-1)]
}

// keepTrials makes the trials of the points that the plan leaves out; those that
// it left out before keep their times.
func (j *job) keepTrials(refused []*point.Field, now time.Time) {
	before := j.trials
	j.trials = make(map[string]*trial, len(refused))
	for _, f := range refused {
		t := before[f.Name]
		if t == nil {
			t = &trial{good: j.good[f.Name]}
			t.next = now.Add(t.pause())
		}
		t.field = f
		j.trials[f.Name] = t
	}
}

// try puts the points that are due for another try behind the queue.
func (j *job) try(now time.Time) {
	for _, t := range j.trials {
		if !now.Before(t.next) {
			t.tried++
			t.next = now.Add(t.pause())
			j.queue = append(j.queue, &block{Block: j.device.alone(t.field), trial: true})
		}
	}
}

// suspect notes of the points of a block that is about to be refused for good
// whether they were good before.
func (j *job) suspect(blk *block) {
	if !blk.proved {
		return
	}
	if j.good == nil {
		j.good = make(map[string]bool)
	}
	for i := range blk.Fields {
		j.good[blk.Fields[i].Name] = true
	}
}

// trusted reports whether a device is taken at its word that it refuses a block:
// it answered something else since, or never answered at all. One that answered
// before and now refuses all has another trouble.
func (d *Device) trusted(blk *block) bool { return d.proof.IsZero() || !d.proof.Before(blk.since) }

// hard reports whether a reason is that an address or a length is not there.
func hard(r bridge.Reason) bool { return r == bridge.Exception(2) || r == bridge.Exception(3) }

// alone returns the block of one point of the device.
func (d *Device) alone(f *point.Field) plan.Block { return d.learnt.AloneWithin(f, d.Spec.Limits) }
