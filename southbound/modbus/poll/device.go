package poll

import (
	"slices"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/grid"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/upkeep"
	"fieldbridge/southbound/modbus/wire"
)

// Device is a device that is polled. The goroutine of its bus owns it, but for
// its status.
type Device struct {
	Spec   spec.Device // not changed, but for where the points are that are never read
	cost   plan.Cost
	jobs   []*job
	learnt plan.Learnt
	survey survey         // of its models
	left   []*point.Field // that are on since an earlier process, and owe their off

	slowest time.Duration // answer so far; 0 before the first
	trip    trip

	proof  time.Time      // of the last answer with values
	alive  time.Time      // of the last answer of any kind
	failed int            // polls in a row without an answer
	sick   bool           // not polled, only probed
	probe  time.Time      // when to probe a sick device next
	pause  pause.Growing  // between its probes
	probes int            // since it is sick
	reason bridge.Reason  // why it is sick
	err    error          // the same in full
	pace   pace           // another interval for a while
	keeper *upkeep.Keeper // of what is written unasked; nil if nothing is

	plain    [wire.Tables]bool // by table: it answers requests of any length
	wondered map[strange]bool  // the log told of these

	mu     sync.Mutex
	status deviceStatus // guarded by mu
}

// deviceStatus is what is noted for others to know of a device.
type deviceStatus struct {
	tallies []tally        // by job
	silent  [][]plan.Block // by job; see Status
	blocks  [][]*block     // by job; see Raw
	Status
}

// Status is what others may know of a device.
type Status struct {
	Good, Bad int                   // points, by their last reading
	Unread    int                   // points whose first cycle is not done
	Reasons   map[bridge.Reason]int // of the bad ones
	Last      time.Time             // of a good reading
	Detail    string                // the last error
	Cause     error                 // the same
	Why       bridge.Reason         // what kind it was of
	Since     time.Time             // when it ceased to answer; zero while it does
	Learnt    plan.Learnt
	Missing   string        // models that it lacks, for people
	Silent    []plan.Block  // of its requests, those that get no answer while others do
	Muted     time.Time     // since when there are such; zero if there are none
	Every     time.Duration // another interval for a while
	Until     time.Time     // when that ends; zero if there is none

	Unkept       time.Time // since when something that is written unasked fails; zero if none does
	UnkeptWhat   string    // for people
	UnkeptWhy    string
	Upkeep       uint64 // turns of such writes
	UpkeepFailed uint64 // of these
}

// pace is another interval for a while.
type pace struct {
	every time.Duration
	until time.Time // on the monotonic clock; zero if there is none
}

// NewDevice makes a device of its spec; c is what its requests cost, l what is
// known of it.
func NewDevice(spec spec.Device, c plan.Cost, l plan.Learnt) *Device {
	d := &Device{Spec: spec, cost: c}
	if spec.Upkeep != nil {
		d.keeper = upkeep.New(*spec.Upkeep)
	}
	d.survey.wanted = spec.InModels()
	for _, same := range plan.Runs(spec.Fields, func(a, b *point.Field) bool { return a.Every == b.Every }) {
		d.jobs = append(d.jobs, newJob(d, same[0].Every, spec.Fields[0].Every, same))
	}
	d.status.tallies, d.status.silent = make([]tally, len(d.jobs)), make([][]plan.Block, len(d.jobs))
	d.status.blocks = make([][]*block, len(d.jobs))
	d.setLearnt(l)
	return d
}

// grid is when the device is polled at an interval, the shortest of which is base.
func (d *Device) grid(base, every time.Duration) grid.Grid {
	if all := d.Spec.Instants.Every; all > 0 && base%all == 0 {
		base = all
	}
	return grid.Grid{Every: every, Phase: grid.Phase(d.Spec.Name, base, every, d.Spec.Instants.Shared)}
}

// Left notes that fields are on since an earlier process, and owe their off. It is
// called before a bus has the device.
func (d *Device) Left(fields []*point.Field) { d.left = fields }

// Status returns how the device is doing. It is safe for concurrent use.
func (d *Device) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.status.Status
	s.Reasons = make(map[bridge.Reason]int)
	s.Silent = slices.Concat(d.status.silent...)
	for i, t := range d.status.tallies {
		if t.good+t.bad == 0 {
			s.Unread += len(d.jobs[i].fields)
		}
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
			d.status.tallies[i], d.status.silent[i] = j.tally, j.unanswered()
			d.status.blocks[i] = j.blocks
		}
	}
	if muted := len(slices.Concat(d.status.silent...)) > 0; !muted {
		d.status.Muted = time.Time{}
	} else if d.status.Muted.IsZero() {
		d.status.Muted = now
	}
	if j.tally.good > 0 {
		d.status.Last = now
	}
	if j.tally.bad == 0 {
		d.status.Detail = ""
	}
}

// keep keeps what a block was read as, for [Device.Raw].
func (d *Device) keep(blk *block, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	blk.data = append(blk.data[:0], data...)
}

// Raw returns what stands in the registers of the device's points, for people, as
// they were read last. It is safe for concurrent use.
func (d *Device) Raw() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	raw := make(map[string]string)
	for _, blocks := range d.status.blocks {
		for _, blk := range blocks {
			if len(blk.data) == 0 {
				continue
			}
			for _, f := range blk.Fields {
				raw[f.Name] = f.Raw(blk.data)
			}
		}
	}
	return raw
}

// setLearnt sets what is known of the device; the blocks are made anew from the
// next cycle on.
func (d *Device) setLearnt(l plan.Learnt) {
	d.learnt = l
	d.Spec.Never = l.Never(d.Spec.Limits)
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
	why, _ := wire.Reason(err)
	d.tell(func(s *Status) { s.Detail, s.Cause, s.Why = err.Error(), err, why })
}

// price returns what requests cost by what is known now.
func (d *Device) price() plan.Cost { return d.learnt.Price(d.cost) }

// answered notes how long an answer took at the first try, alone on the bus or
// not, and reports whether what plans reckon with changed. It counts from the next
// plan on: what is polled well stays.
func (d *Device) answered(took time.Duration, blk *block, alone bool) bool {
	thought := max(0, took-(d.cost.Takes(blk.Table, blk.Count)-d.cost.Trip))
	if d.cost.Line {
		d.slowest = max(d.slowest, thought, spec.Turnaround) // a link adds the rest to what it waits
	} else {
		d.slowest = max(d.slowest, took)
	}
	if !alone || d.Spec.Pause > 0 && !d.cost.Line {
		return false // the pause may be in it
	}
	trip := d.trip.note(thought, d.learnt.Trip, d.cost.Line)
	if trip == d.learnt.Trip {
		return false
	}
	d.learnt.Trip = trip
	return true
}

// sample returns what to ask a sick device for: one value, each second time in a
// length that it may want, or whether a SunSpec list is where it was looked for
// last.
func (d *Device) sample() wire.Ask {
	f := d.Spec.AnyField()
	if f.Models != nil {
		return wire.Ask{Table: wire.Holding, First: d.survey.base(), Count: 2}
	}
	blk := d.alone(f)
	if d.probes%2 == 1 && !d.plain[blk.Table] {
		blk = blk.Wider(d.Spec.Limits)
	}
	return blk.Ask()
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
