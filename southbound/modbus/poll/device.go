package poll

import (
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// Device is a device that is polled. The goroutine of its bus owns it, but for
// its status.
type Device struct {
	Spec   DeviceSpec // not changed
	cost   plan.Cost
	jobs   []*job
	learnt plan.Learnt
	survey survey // of its models

	slowest time.Duration // answer so far; 0 before the first
	trip    trip

	proof  time.Time     // of the last answer with values
	failed int           // polls in a row without an answer
	sick   bool          // not polled, only probed
	probe  time.Time     // when to probe a sick device next
	pause  pause.Growing // between its probes
	reason bridge.Reason // why it is sick
	err    error         // the same in full
	pace   pace          // another interval for a while

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

// pace is another interval for a while.
type pace struct {
	every time.Duration
	until time.Time // on the monotonic clock; zero if there is none
}

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

// tell changes what others may know.
func (d *Device) tell(change func(*Status)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.status.Status)
}

// done tells others of the end of a cycle.
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

// setLearnt sets what is known of the device; the blocks are made anew from the
// next cycle on.
func (d *Device) setLearnt(l plan.Learnt) {
	d.learnt = l
	for _, j := range d.jobs {
		j.stale = true
	}
	d.tell(func(s *Status) { s.Learnt = l })
}

// setPace sets another interval for a while.
func (d *Device) setPace(p pace) {
	d.pace = p
	d.tell(func(s *Status) { s.Every, s.Until = p.every, p.until })
}

// note notes why the device did not answer as it should.
func (d *Device) note(err error) {
	d.tell(func(s *Status) { s.Detail = err.Error() })
}

// price returns what requests cost by what is known now.
func (d *Device) price() plan.Cost { return d.learnt.Price(d.cost) }

// answered notes how long an answer took at the first try, alone on the bus or
// not, and reports whether the round trip that plans reckon with changed. It
// counts from the next plan on: what is polled well stays.
func (d *Device) answered(took time.Duration, blk *block, alone bool) bool {
	d.slowest = max(d.slowest, took)
	if !alone || d.cost.Trip == 0 || d.Spec.Pause > 0 {
		return false // no network, or the pause may be in it
	}
	step := d.trip.note(took-(d.cost.Takes(blk.Table, blk.Count)-d.cost.Request), d.learnt.Trip)
	if step == d.learnt.Trip {
		return false
	}
	d.learnt.Trip = step
	return true
}

// Bounds of how long a probe waits for an answer.
const (
	minPatience    = 50 * time.Millisecond
	patienceFactor = 4 // times the slowest answer of the device so far
)

// patience returns how long to wait for the answer to a probe: the device's own
// answers tell. One that never answered gets its whole timeout.
func (d *Device) patience() time.Duration {
	if d.slowest == 0 {
		return d.Spec.Timeout
	}
	return min(d.Spec.Timeout, max(minPatience, patienceFactor*d.slowest))
}

// sample returns what to ask a sick device for: one value, or whether a SunSpec
// list is where it was looked for last.
func (d *Device) sample() (t wire.Table, first, count int) {
	f := d.jobs[0].fields[0]
	if f.Models != nil {
		return wire.Holding, d.survey.base(), 2
	}
	reach := f.Reach()
	return f.Table, reach.First, reach.End - reach.First
}

// paced returns the jobs that follow the device's own interval.
func (d *Device) paced() []*job {
	var all []*job
	for _, j := range d.jobs {
		if j.usual == d.Spec.Every {
			all = append(all, j)
		}
	}
	return all
}
