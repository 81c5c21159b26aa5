package poll

import (
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/point"
)

// batch gathers the readings of a job's cycle. What arrives within a tenth of the
// interval goes on together.
type batch struct {
	device   string
	every    time.Duration
	points   int       // of the job, as far as is known
	at       time.Time // arrival of its first block
	readings []bridge.Reading
	tally    tally
	strange  []strange // not yet told
	asked    *asked    // nil for a poll
}

// asked is a cycle that someone asked for, beside the polls.
type asked struct {
	readings []bridge.Reading // what was emitted
	done     chan error       // of capacity 1; then readings is complete
}

// tally is how the points of a job did in its last cycle.
type tally struct {
	good, bad int
	reasons   map[bridge.Reason]int // of the bad ones
}

func (t *tally) add(r bridge.Reason, n int) {
	if t.reasons == nil {
		t.reasons = make(map[bridge.Reason]int)
	}
	t.reasons[r] += n
	t.bad += n
}

// take adds the values of a block that arrived at now.
func (b *batch) take(blk *block, data []byte, now time.Time, emit bridge.Emit) {
	b.arrive(now, emit)
	texts := blk.lastTexts()
	for i := range blk.Fields {
		if len(texts) > 0 && blk.Fields[i].Kind == point.KindString {
			b.add(blk.Fields[i].Name, blk.Fields[i].DecodeText(data, &texts[0]))
			texts = texts[1:]
			continue
		}
		f := &blk.Fields[i]
		v := f.Decode(data)
		if !f.Simple && f.Enum != nil && v.Good() && !f.Named(v) {
			b.strange = append(b.strange, strange{f.Name, int64(v.Bits())})
		}
		b.add(f.Name, v)
	}
}

// strange is a number that a point's enum does not name.
type strange struct {
	point  string
	number int64
}

// add adds a value.
func (b *batch) add(name string, v bridge.Value) {
	if v.Good() {
		b.tally.good++
	} else {
		b.tally.add(v.Reason(), 1)
	}
	b.readings = append(b.readings, bridge.Reading{Point: name, Value: v})
}

// spoil adds the points of blocks as bad.
func (b *batch) spoil(r bridge.Reason, now time.Time, emit bridge.Emit, blocks ...*block) {
	b.arrive(now, emit)
	for _, blk := range blocks {
		for i := range blk.Fields {
			b.readings = append(b.readings, bridge.Reading{Point: blk.Fields[i].Name, Value: bridge.Bad(r)})
		}
		b.tally.add(r, len(blk.Fields))
	}
}

// giveUp adds the points that the device refuses.
func (b *batch) giveUp(lost []string, now time.Time, emit bridge.Emit) {
	b.arrive(now, emit)
	for _, name := range lost {
		b.readings = append(b.readings, bridge.Reading{Point: name, Value: bridge.Bad(bridge.ReasonGivenUp)})
	}
	if len(lost) > 0 {
		b.tally.add(bridge.ReasonGivenUp, len(lost))
	}
}

// arrive makes room for readings that arrived at now: those whose first block is
// too old are emitted first.
func (b *batch) arrive(now time.Time, emit bridge.Emit) {
	if len(b.readings) > 0 && now.Sub(b.at) > b.every/10 {
		b.flush(emit)
	}
	if len(b.readings) == 0 {
		b.at = now
		if b.readings == nil {
			b.readings = make([]bridge.Reading, 0, max(0, b.points-b.tally.good-b.tally.bad))
		}
	}
}

// flush emits what there is.
func (b *batch) flush(emit bridge.Emit) {
	if len(b.readings) == 0 {
		return
	}
	out := bridge.Batch{Device: b.device, At: b.at, Readings: b.readings}
	if b.asked != nil {
		out.Whole = true
		b.asked.readings = append(b.asked.readings, out.Readings...)
	}
	b.readings = nil
	emit(out, nil)
}
