package modbus

import (
	"slices"
	"time"

	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// succeeded notes that a block, or a part of one, was read.
func (b *bus) succeeded(j *job, blk *block) {
	d := j.device
	if bound := d.learnt.Bound(blk.Table); bound.High != 0 && blk.Count > bound.Low && blk.Count < bound.High {
		l := d.learnt
		l.Bound(blk.Table).Low = blk.Count
		b.teach(d, l)
	}
	if blk.part == nil {
		b.recovered(d, blk)
		return
	}
	blk.part.read = true
	if blk.part.gap != nil {
		j.through(blk)
	} else {
		j.settle(blk)
	}
	b.concluded(j, blk)
}

// concluded ends the inquiry that blk is a part of when all parts are done. Its
// result counts from the second time on, as one error proves nothing.
func (b *bus) concluded(j *job, blk *block) {
	if blk.part == nil || blk.part.open > 0 {
		return
	}
	in := blk.part.inquiry
	l := j.device.learnt
	most := l.Bound(in.block.Table)
	if in.block.failed < 2 && (in.high == 0 || most.High == 0) {
		return
	}
	if in.high != 0 && (most.High == 0 || in.high < most.High) {
		*most = plan.Bound{Low: min(max(most.Low, in.low), in.high-1), High: in.high}
	}
	b.holes(j.device, l, in.block.Table, in.holes...)
}

// holes teaches that a device refuses addresses.
func (b *bus) holes(d *device, l plan.Learnt, t wire.Table, holes ...point.Span) {
	l.Holes = append([]plan.Refused(nil), l.Holes...)
	for _, h := range holes {
		l.Add(t, h)
	}
	b.teach(d, l)
}

// teach sets what is known of a device, and keeps it.
func (b *bus) teach(d *device, l plan.Learnt) {
	l.At = time.Now()
	news := len(l.Holes) != len(d.learnt.Holes) || l.Words.High != d.learnt.Words.High || l.Bits.High != d.learnt.Bits.High ||
		!slices.Equal(l.Models, d.learnt.Models)
	d.setLearnt(l)
	b.learn(d.spec.name, l)
	if news {
		b.log.Info("learnt what a device allows", "device", d.spec.name, "limits", l.String())
	}
}
