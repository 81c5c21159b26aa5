package poll

import (
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/grid"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/turn"
	"fieldbridge/southbound/modbus/wire"
)

// job is the points of one device with one interval, and the cycle under way.
// The bus goroutine owns it.
type job struct {
	device   *Device
	usual    time.Duration // the interval as configured; see pace
	fields   []*point.Field
	blocks   []*block // of the plan; empty until the first cycle
	grid     grid.Grid
	lost     []string          // points that the device refuses
	trials   map[string]*trial // of those, by name
	good     map[string]bool   // of those, were so before
	absolved []string          // of those, read in this cycle
	load     float64           // share of the bus's time, as measured

	next     time.Time // when the next cycle is due, on the monotonic clock
	last     time.Time // when a cycle was done, or told to be overdue
	deadline time.Time // when the cycle under way should be done
	queue    []*block  // to be read in this cycle, the next first
	held     []*block  // not answered in this cycle, before anything else was
	silent   int       // blocks without an answer in this cycle

	stale     bool // the blocks are to be made anew
	missed    bool // the last cycle failed as a whole
	active    bool // a cycle is under way
	surveying bool // it waits for the walk of the model list, see survey
	heard     bool // some block was answered in this cycle
	waiting   bool // the next request is sent when the line has time for it

	quietReason bridge.Reason
	quiet       time.Time // a whole cycle of bad readings was emitted for that: not again before
	batch
}

// quietFor is how long a job that stays bad as a whole for one reason keeps
// still: each reading would be dropped as unchanged anyway.
const quietFor = 10 * time.Second

func newJob(d *Device, every, base time.Duration, fields []*point.Field) *job {
	return &job{device: d, usual: every, fields: fields, grid: d.grid(base, every),
		stale: true, batch: batch{device: d.Spec.Name, every: every}}
}

// plan makes the blocks.
func (j *job) plan() {
	j.stale = false
	laid := j.device.learnt.Lay(j.fields, j.device.Spec.Limits, j.device.price())
	j.lost, j.points = laid.Lost, laid.Points
	j.keepTrials(laid.Refused, time.Now())
	j.blocks = make([]*block, len(laid.Blocks))
	for i, b := range laid.Blocks {
		j.blocks[i] = &block{Block: b}
	}
}

// begin starts a cycle.
func (j *job) begin(now time.Time) {
	j.active, j.heard, j.silent = true, false, 0
	if j.last.IsZero() {
		j.last = now
	}
	j.deadline = now.Add(j.every)
	j.tally = tally{}
	if j.surveying = j.device.survey.due(now); j.surveying {
		j.queue = append(j.queue[:0], j.whole())
		return
	}
	j.enqueue()
}

// enqueue has all blocks read in this cycle.
func (j *job) enqueue() {
	j.surveying = false
	if j.stale {
		j.plan()
	}
	j.queue = append(j.queue[:0], j.blocks...)
	j.absolved = j.absolved[:0]
	j.try(time.Now())
}

// whole returns all points of a job as one block that cannot be read.
func (j *job) whole() *block {
	b := &block{Block: plan.Block{Table: wire.Holding}}
	for _, f := range j.device.learnt.Present(j.fields) {
		b.Fields = append(b.Fields, point.Placed{Field: f})
	}
	return b
}

// follow gives a job another interval. The poll that is due next is the first.
func (j *job) follow(every time.Duration, now time.Time) {
	base := min(every, j.device.Spec.Fields[0].Every)
	j.every, j.grid = every, j.device.grid(base, every)
	j.next = j.grid.First(grid.InstantOf(now))
}

// unanswered returns the requests of the plan that got no answer several times in
// a row, while the device answered others.
func (j *job) unanswered() (all []plan.Block) {
	if !j.heard {
		return nil
	}
	for _, blk := range j.blocks {
		if blk.failed > 1 && !blk.again.IsZero() {
			all = append(all, blk.Block)
		}
	}
	return all
}

// attempts returns how often to ask for a block before it is bad.
func (j *job) attempts(blk *block) int {
	if blk.failed > 0 || j.silent > 0 || blk.part != nil && !blk.whole.hush.IsZero() {
		return 1
	}
	return 1 + j.device.Spec.Retries
}

// until returns when the cycle under way, or else the next, should be done.
func (j *job) until() time.Time {
	if j.active {
		return j.deadline
	}
	return j.next.Add(j.every)
}

// rest returns how long the requests that are left of the cycle will take.
func (j *job) rest() time.Duration {
	if j.active {
		return j.takes(j.queue)
	}
	return j.takes(j.blocks)
}

// fast reports whether the cycle under way is soon done, so that others may wait for
// it, and may itself wait for others.
func (j *job) fast() bool { return j.rest() < turn.Hold && j.every >= 10*turn.Patience }

// takes returns how long reads of blocks will take.
func (j *job) takes(blocks []*block) time.Duration {
	var sum time.Duration
	for _, blk := range blocks {
		sum += blk.takes(j.device.price())
	}
	return sum
}

// measured returns the share of the bus's time that the job takes.
func (j *job) measured() float64 {
	var sum time.Duration
	for _, b := range j.blocks {
		sum += b.took
	}
	return float64(sum) / float64(j.every)
}

// starving returns when the points that a cycle has not come to were not asked for
// three intervals.
func (j *job) starving() time.Time { return j.last.Add(max(3*j.every, leastStarved)) }

// leastStarved is the least time after which points count as starved: below it a
// timeout of another unit, or a busy machine, says nothing.
const leastStarved = time.Second

// starves reports whether such points are to be told.
func (j *job) starves(now time.Time) bool { return j.asked == nil && !now.Before(j.starving()) }

// overdue has the points that a cycle has not come to be bad: what was read of them
// last is old by now. The cycle goes on, and its deadline stays.
func (j *job) overdue(now time.Time, emit bridge.Emit) {
	j.last = now
	due := slices.DeleteFunc(slices.Clone(j.queue), func(blk *block) bool { return blk.trial || blk.part != nil })
	before := j.tally
	j.spoil(bridge.ReasonOverdue, now, emit, due...)
	j.tally = before
	j.flush(emit)
}

// abandon ends the cycle: the blocks not yet read are bad.
func (j *job) abandon(now time.Time, r bridge.Reason, emit bridge.Emit) {
	j.queue, j.held = append(j.queue, j.held...), j.held[:0]
	rest := slices.DeleteFunc(j.queue, func(blk *block) bool { return blk.trial }) // they are given up already
	j.queue = j.queue[:0]
	if !j.heard && len(j.readings) == 0 && j.quietReason == r && now.Before(j.quiet) {
		for _, b := range rest {
			j.tally.add(r, len(b.Fields))
		}
		return
	}
	j.spoil(r, now, emit, rest...)
	if !j.heard {
		j.quietReason, j.quiet = r, now.Add(quietFor)
	}
}
