package poll

import (
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
)

// Device is a device that is polled. Its bus goroutine owns it, but for status.
type Device struct {
	Spec   DeviceSpec // not changed
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

// deviceStatus is what is noted for others to know of a device.
type deviceStatus struct {
	tallies []tally // by job
	Status
}

// Status is what others may know of a device.
type Status struct {
	Good, Bad int                   // points, by their last reading
	Reasons   map[bridge.Reason]int // of the bad ones
	Last      time.Time             // of a good reading
	Detail    string                // the last error
	Since     time.Time             // when it ceased to answer; zero while it does
	Learnt    plan.Learnt
	Missing   string        // models that it lacks, for people
	Every     time.Duration // another interval for a while
	Until     time.Time     // when that ends; zero if there is none
}

// sickAfter is how many polls in a row without an answer make a device sick.
const sickAfter = 2

// Pauses between probes of a sick device.
const (
	minProbePause = time.Second
	maxProbePause = time.Minute
)

// NewDevice makes a device of its spec; c is what its requests cost, l what is
// known of it.
func NewDevice(spec DeviceSpec, c plan.Cost, l plan.Learnt) *Device {
	d := &Device{Spec: spec, cost: c}
	d.survey.wanted = spec.InModels()
	for _, same := range plan.Runs(spec.Fields, func(a, b *point.Field) bool { return a.Every == b.Every }) {
		d.jobs = append(d.jobs, newJob(d, same[0].Every, spec.Fields[0].Every, same))
	}
	d.status.tallies = make([]tally, len(d.jobs))
	d.setLearnt(l)
	return d
}

// replan makes the blocks anew from the next cycle on.
func (d *Device) replan() {
	for _, j := range d.jobs {
		j.stale = true
	}
}

// done notes the end of a cycle for others to see.
func (d *Device) done(j *job, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.jobs {
		if d.jobs[i] == j {
			d.status.tallies[i] = j.tally
		}
	}
	if j.tally.good > 0 {
		d.status.Last = now
	}
	if j.tally.bad == 0 {
		d.status.Detail = ""
	}
}

// setLearnt sets what is known of the device; the blocks are made anew.
func (d *Device) setLearnt(l plan.Learnt) {
	d.learnt = l
	d.replan()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.Learnt = l
}

func (d *Device) setMissing(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.Missing = text
}

func (d *Device) note(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.Detail = err.Error()
}

// setSince notes since when the device is sick; zero is that it is well.
func (d *Device) setSince(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.Since = t
}

// Status returns how the device is doing. It is safe for concurrent use.
func (d *Device) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.status.Status
	s.Reasons = make(map[bridge.Reason]int)
	for _, t := range d.status.tallies {
		s.Good += t.good
		s.Bad += t.bad
		for r, n := range t.reasons {
			s.Reasons[r] += n
		}
	}
	return s
}
