package poll

import (
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
)

// job is the points of one device with one interval, and the cycle under way.
// The bus goroutine owns it.
type job struct {
	device *Device
	asked  *asked // nil for a poll
	every  time.Duration
	usual  time.Duration // every as configured; see pace
	fields []*point.Field
	blocks []*block // of the plan; empty until the first cycle
	grid   grid
	points int
	lost   []string // points that the device refuses
	stale  bool     // the blocks are to be made anew
	load   float64  // share of the bus's time, as measured

	next   time.Time // when the next cycle is due, on the monotonic clock
	missed bool      // the last cycle failed as a whole

	active    bool      // a cycle is under way
	deadline  time.Time // when it should be done
	queue     []*block  // to be read in this cycle, the next first
	surveying bool      // it waits for the walk of the model list, see survey
	answered  bool      // some block was answered in this cycle
	silent    int       // blocks without an answer in this cycle
	at        time.Time // of the batch being filled: arrival of its first block
	readings  []bridge.Reading
	tally     tally // of the cycle

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

func newJob(d *Device, every, base time.Duration, fields []*point.Field) *job {
	j := &job{device: d, every: every, usual: every, fields: fields, grid: grid{every, phaseOf(d.Spec.Name, base, every)},
		stale: true}
	return j
}

// plan makes the blocks.
func (j *job) plan() {
	j.stale = false
	laid := j.device.learnt.Lay(j.fields, j.device.Spec.Limits, j.device.price())
	j.lost, j.points = laid.Lost, laid.Points
	j.blocks = make([]*block, len(laid.Blocks))
	for i, b := range laid.Blocks {
		j.blocks[i] = &block{Block: b}
	}
}

// begin starts a cycle.
func (j *job) begin(now time.Time) {
	j.surveying = j.device.survey.due(now)
	if j.stale && !j.surveying {
		j.plan()
	}
	j.active, j.answered, j.silent = true, false, 0
	if j.queue = j.queue[:0]; j.surveying {
		j.queue = append(j.queue, j.whole())
	} else {
		j.queue = append(j.queue, j.blocks...)
	}
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
			j.readings = make([]bridge.Reading, 0, max(0, j.points-j.tally.good-j.tally.bad))
		}
	}
}

// decode adds the values of a block.
func (j *job) decode(b *block, data []byte) {
	texts := b.lastTexts()
	for i := range b.Fields {
		f := &b.Fields[i]
		var v bridge.Value
		if f.Kind == point.KindString {
			v = f.DecodeText(data, &texts[0])
			texts = texts[1:]
		} else {
			v = f.Decode(data)
		}
		if v.Good() {
			j.tally.good++
		} else {
			j.tally.add(v.Reason(), 1)
		}
		j.readings = append(j.readings, bridge.Reading{Point: f.Name, Value: v})
	}
}

// spoil adds the points of a block as bad.
func (j *job) spoil(b *block, r bridge.Reason) {
	for i := range b.Fields {
		j.readings = append(j.readings, bridge.Reading{Point: b.Fields[i].Name, Value: bridge.Bad(r)})
	}
	j.tally.add(r, len(b.Fields))
}

func (t *tally) add(r bridge.Reason, n int) {
	if t.reasons == nil {
		t.reasons = make(map[bridge.Reason]int)
	}
	t.reasons[r] += n
	t.bad += n
}

// giveUp adds the points that the device refuses.
func (j *job) giveUp() {
	for _, name := range j.lost {
		j.readings = append(j.readings, bridge.Reading{Point: name, Value: bridge.Bad(bridge.ReasonGivenUp)})
	}
	if len(j.lost) > 0 {
		j.tally.add(bridge.ReasonGivenUp, len(j.lost))
	}
}

// measured returns the share of the bus's time that the job takes.
func (j *job) measured() float64 {
	var sum time.Duration
	for _, b := range j.blocks {
		sum += b.took
	}
	return float64(sum) / float64(j.every)
}

// flush emits what there is.
func (j *job) flush(emit bridge.Emit) {
	if len(j.readings) == 0 {
		return
	}
	batch := bridge.Batch{Device: j.device.Spec.Name, At: j.at, Readings: j.readings}
	if j.asked != nil {
		batch.Whole = true
		j.asked.readings = append(j.asked.readings, batch.Readings...)
	}
	j.readings = nil
	emit(batch, nil)
}

// abandon ends the cycle: the blocks not yet read are bad.
func (j *job) abandon(now time.Time, r bridge.Reason, emit bridge.Emit) {
	rest := j.queue
	j.queue = j.queue[:0]
	if !j.answered && len(j.readings) == 0 && j.quietReason == r && now.Before(j.quiet) {
		for _, b := range rest {
			j.tally.add(r, len(b.Fields))
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
