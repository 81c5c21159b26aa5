package modbus

import (
	"slices"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
)

// device is a device that is polled. Its bus goroutine owns it, but for status.
type device struct {
	spec   deviceSpec
	cost   plan.Cost
	jobs   []*job
	learnt plan.Learnt
	survey survey // of its models

	slowest time.Duration // answer so far; 0 before the first
	trip    trip

	failed int           // polls in a row without an answer
	sick   bool          // not polled, only probed
	probe  time.Time     // when to probe a sick device next
	pause  pause.Growing // between its probes
	reason bridge.Reason // why it is sick
	pace   pace          // another interval for a while
	err    error         // the same in full

	mu     sync.Mutex
	status deviceStatus // guarded by mu
}

// deviceStatus is what others may know of a device.
type deviceStatus struct {
	tallies []tally // by job
	last    time.Time
	detail  string    // the last error
	since   time.Time // when it became sick; zero when it is not
	learnt  plan.Learnt
	missing string // models that it has not, for people
	late    uint64 // cycles that were not done before the next was due
	cycles  uint64
	pace    pace
}

// sickAfter is how many polls in a row without an answer make a device sick.
const sickAfter = 2

// Pauses between probes of a sick device.
const (
	minProbePause = time.Second
	maxProbePause = time.Minute
)

// newDevice makes a device of its spec; c is what its requests cost.
func newDevice(spec deviceSpec, c plan.Cost) *device {
	d := &device{spec: spec, cost: c}
	d.survey.wanted = slices.ContainsFunc(spec.fields, func(f *point.Field) bool { return f.Models != nil })
	for _, same := range plan.Runs(spec.fields, func(a, b *point.Field) bool { return a.Every == b.Every }) {
		d.jobs = append(d.jobs, newJob(d, same[0].Every, spec.fields[0].Every, same))
	}
	d.status.tallies = make([]tally, len(d.jobs))
	return d
}

// replan makes the blocks anew from the next cycle on.
func (d *device) replan() {
	for _, j := range d.jobs {
		j.stale = true
	}
}

// done notes the end of a cycle for others to see.
func (d *device) done(j *job, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.jobs {
		if d.jobs[i] == j {
			d.status.tallies[i] = j.tally
		}
	}
	d.status.cycles++
	if j.tally.good > 0 {
		d.status.last = now
	}
	if j.tally.bad == 0 {
		d.status.detail = ""
	}
}

// setLearnt sets what is known of the device; the blocks are made anew.
func (d *device) setLearnt(l plan.Learnt) {
	d.learnt = l
	d.replan()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.learnt = l
}

func (d *device) setMissing(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.missing = text
}

func (d *device) note(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.detail = err.Error()
}

func (d *device) countLate(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.late += uint64(n)
}

// setSince notes since when the device is sick; zero is that it is well.
func (d *device) setSince(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.since = t
}

func (d *device) snapshot() deviceStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.status
	s.tallies = slices.Clone(s.tallies)
	return s
}
