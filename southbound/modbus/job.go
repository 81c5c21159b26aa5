package modbus

import (
	"time"

	"fieldbridge/bridge"
)

// job is the points of one device with one interval, and the cycle under way.
// The bus goroutine owns it.
type job struct {
	device *device
	group
	grid   grid
	points int

	next   time.Time // when the next cycle is due, on the monotonic clock
	missed bool      // the last cycle failed as a whole

	active   bool      // a cycle is under way
	deadline time.Time // when it should be done
	index    int       // the block to read next
	answered bool      // some block was answered in this cycle
	silent   int       // blocks without an answer in this cycle
	at       time.Time // of the batch being filled: arrival of its first block
	readings []bridge.Reading
	tally    tally // of the cycle

	quiet       time.Time // a whole cycle of bad readings was emitted: not again before
	quietReason bridge.Reason
}

// tally is how the points of a job did in its last cycle.
type tally struct {
	good, bad int
	reasons   map[bridge.Reason]int // of the bad ones
}

// quietFor is how long a job that stays bad as a whole for one reason keeps
// still: each reading would be dropped as unchanged anyway.
const quietFor = 10 * time.Second

func newJob(d *device, g group, base time.Duration) *job {
	j := &job{device: d, group: g, grid: grid{g.every, phaseOf(d.spec.name, base, g.every)}}
	for _, b := range g.blocks {
		j.points += len(b.fields)
	}
	return j
}

// begin starts a cycle.
func (j *job) begin(now time.Time) {
	j.active, j.index, j.answered, j.silent = true, 0, false, 0
	j.deadline = now.Add(j.every)
	j.tally = tally{}
}

// late is how long after the first block of a batch another may arrive and be
// in it.
func (j *job) late() time.Duration { return j.every / 10 }

// arrive makes room for readings that arrived at now: a batch whose first block
// is too old is emitted first.
func (j *job) arrive(now time.Time, emit bridge.Emit) {
	if len(j.readings) > 0 && now.Sub(j.at) > j.late() {
		j.flush(emit)
	}
	if len(j.readings) == 0 {
		j.at = now
		if j.readings == nil {
			j.readings = make([]bridge.Reading, 0, j.points-j.tally.good-j.tally.bad)
		}
	}
}

// decode adds the values of a block.
func (j *job) decode(b *block, data []byte) {
	for i := range b.fields {
		v := b.fields[i].decode(data)
		if v.Good() {
			j.tally.good++
		} else {
			j.tally.add(v.Reason(), 1)
		}
		j.readings = append(j.readings, bridge.Reading{Point: b.fields[i].name, Value: v})
	}
}

// spoil adds the points of a block as bad.
func (j *job) spoil(b *block, r bridge.Reason) {
	for i := range b.fields {
		j.readings = append(j.readings, bridge.Reading{Point: b.fields[i].name, Value: bridge.Bad(r)})
	}
	j.tally.add(r, len(b.fields))
}

func (t *tally) add(r bridge.Reason, n int) {
	if t.reasons == nil {
		t.reasons = make(map[bridge.Reason]int)
	}
	t.reasons[r] += n
	t.bad += n
}

// flush emits what there is.
func (j *job) flush(emit bridge.Emit) {
	if len(j.readings) == 0 {
		return
	}
	emit(bridge.Batch{Device: j.device.spec.name, At: j.at, Readings: j.readings}, nil)
	j.readings = nil
}

// abandon ends the cycle: the blocks not yet read are bad.
func (j *job) abandon(now time.Time, r bridge.Reason, emit bridge.Emit) {
	rest := j.blocks[j.index:]
	j.index = len(j.blocks)
	if !j.answered && len(j.readings) == 0 && j.quietReason == r && now.Before(j.quiet) {
		for _, b := range rest {
			j.tally.add(r, len(b.fields))
		}
		return
	}
	j.arrive(now, emit)
	for _, b := range rest {
		j.spoil(b, r)
	}
	if !j.answered {
		j.quietReason, j.quiet = r, now.Add(quietFor)
	}
}
