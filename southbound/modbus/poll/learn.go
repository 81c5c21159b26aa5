package poll

import (
	"slices"
	"time"

	"fieldbridge/southbound/modbus/plan"
)

// succeeded notes that a block, or a part of one, was read.
func (b *Bus) succeeded(j *job, blk *block) {
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
	j.ask(blk, blk.part.Answered())
	b.concluded(j, blk)
}

// concluded ends the inquiry that blk is a part of when all parts are done.
func (b *Bus) concluded(j *job, blk *block) {
	if blk.part == nil {
		return
	}
	if l, news := blk.part.Conclude(j.device.learnt, blk.whole.failed >= 2); news {
		b.teach(j.device, l)
	}
}

// refusal reports whether an exception means that a request asks for what is not
// there, or for too much: then its parts may be well.
func refusal(code byte) bool { return code == 2 || code == 3 }

// dissect asks for the parts of a refused block, and reports false if it has
// none: then what it has is bad.
func (j *job) dissect(blk *block) bool {
	if blk.part != nil {
		next, bad := blk.part.Refused()
		j.ask(blk, next)
		return !bad
	}
	next := blk.Dissect()
	j.ask(blk, next)
	return next != nil
}

// ask puts parts of an inquiry that blk belongs to, or begins, in front of the
// queue.
func (j *job) ask(blk *block, parts []*plan.Part) {
	whole := blk
	if blk.part != nil {
		whole = blk.whole
	}
	for i, p := range parts {
		j.queue = slices.Insert(j.queue, i, &block{Block: p.Block, part: p, whole: whole})
	}
}

// teach sets what is known of a device, and keeps it.
func (b *Bus) teach(d *Device, l plan.Learnt) {
	l.At = time.Now()
	news := len(l.Holes) != len(d.learnt.Holes) || l.Words.High != d.learnt.Words.High ||
		l.Bits.High != d.learnt.Bits.High ||
		!slices.Equal(l.Models, d.learnt.Models)
	d.setLearnt(l)
	b.learn(d.Spec.Name, l)
	if news {
		b.log.Info("learnt what a device allows", "device", d.Spec.Name, "limits", l.String())
	}
}
