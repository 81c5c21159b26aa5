package poll

import (
	"errors"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/wire"
)

// proved notes what a block that was read, or a part of one, tells of the device.
func (b *Bus) proved(j *job, blk *block) {
	d := j.device
	d.proof = time.Now()
	d.alive, blk.hush = d.proof, time.Time{}
	if plan.Plain(blk.Table, blk.First, blk.Count) {
		d.plain[blk.Table] = true
	}
	if blk.trial {
		b.absolve(j, blk)
		return
	}
	if bound := d.learnt.Bound(blk.Table); bound.High != 0 && blk.Count > bound.Low && blk.Count < bound.High {
		l := d.learnt
		l.Bound(blk.Table).Low = blk.Count
		b.teach(d, l)
	}
	if blk.part != nil {
		j.inquire(blk, blk.part.Answered())
		b.conclude(j, blk)
		return
	}
	if blk.told {
		blk.told = false
		b.log.Info("block is good again", "device", d.Spec.Name, "table", blk.Table.String(), "address", blk.First, "count",
			blk.Count)
	}
	blk.failed, blk.proved = 0, true
}

// refused notes that a device refuses a block, and reports whether its parts are
// asked for: otherwise what it has is bad.
func (b *Bus) refused(j *job, blk *block, now time.Time) bool {
	if blk.trial {
		return true // it stays given up
	}
	if hard(blk.reason) {
		j.device.survey.doubt(now)
	}
	if blk.part == nil && now.Before(blk.split) {
		return false
	}
	if j.dissect(blk) {
		b.conclude(j, blk)
		return true
	}
	if blk.part == nil && blk.failed > 1 && hard(blk.reason) && j.device.trusted(blk) {
		j.suspect(blk)
		b.teach(j.device, j.device.learnt.WithHoles(blk.Table, plan.Hole{Span: blk.Fields[0].Own()}))
	}
	return false
}

// conclude ends the inquiry that blk is a part of when all parts are done.
func (b *Bus) conclude(j *job, blk *block) {
	if blk.part == nil {
		return
	}
	whole := blk.whole
	if !blk.part.Done() {
		return
	}
	if !blk.part.Proved() {
		// All of it is refused: is it there no more, or does the device refuse all?
		whole.split = time.Now().Add(min(time.Duration(whole.failed)*inquiryPause, maxProbePause))
		if whole.failed < 2 {
			whole.split = time.Time{}
		}
		if !hard(whole.reason) || !j.device.trusted(whole) {
			return
		}
	}
	whole.again = time.Time{} // its parts are worth the wait
	if l, news := blk.part.Conclude(j.device.learnt, whole.failed >= sure(whole)); news {
		j.suspect(whole)
		b.teach(j.device, l)
	}
}

// sure returns how often in a row a block must have failed before its inquiry
// counts. Silence may be of the line, and who is busy has time again.
func sure(whole *block) int {
	if whole.hush.IsZero() && !soft(whole.reason) {
		return 2
	}
	return 6
}

// soft reports whether an exception mostly means something else than that an address
// or a length is not there: an illegal function, an acknowledgement, a device that is
// busy. Some say so of a part of a block all the same.
func soft(r bridge.Reason) bool {
	return r == bridge.Exception(1) || r == bridge.Exception(5) || r == bridge.Exception(6)
}

// inquiryPause is the least time between two inquiries of a block of which all
// parts were refused; it grows with each.
const inquiryPause = 2 * time.Second

// dissect asks for the parts of a refused block, and reports false if it has
// none.
func (j *job) dissect(blk *block) bool {
	if blk.part != nil {
		next, bad := blk.part.Refused(refusedBy(j.device.err))
		j.inquire(blk, next)
		return !bad
	}
	next := blk.Dissect(j.device.plain[blk.Table], j.device.Spec.Limits)
	j.inquire(blk, next)
	return next != nil
}

// NoAnswer is by what an address is refused where there is no answer.
const NoAnswer = "no answer"

// refusedBy says by what an address is refused, for people; "" is that it is not
// there.
func refusedBy(err error) string {
	code, ok := wire.ExceptionCode(err)
	switch {
	case !ok:
		return NoAnswer
	case hard(bridge.Exception(code)):
		return ""
	}
	return wire.Plain(err).Error()
}

// inquire puts parts of an inquiry that blk belongs to, or begins, in front of
// the queue.
func (j *job) inquire(blk *block, parts []*plan.Part) {
	whole := blk
	if blk.part != nil {
		whole = blk.whole
	}
	for i, p := range parts {
		j.queue = slices.Insert(j.queue, i, &block{Block: p.Block, part: p, whole: whole})
	}
}

// surveyed notes what the walk of a device's models found.
func (b *Bus) surveyed(d *Device, now time.Time) {
	s := &d.survey
	l := d.learnt
	if l.Models == nil || !slices.Equal(l.Models, s.found) {
		l = plan.Learnt{Models: append([]plan.SunSpecModel{}, s.found...), Trip: l.Trip} // what it refused was elsewhere, too
		b.teach(d, l)
	} else if !l.Known() {
		b.teach(d, l) // it is so still
	}
	missing := l.Missing(d.Spec.Fields)
	s.renew()
	s.last, s.next = now, now.Add(plan.ForgetAfter)
	if missing != "" {
		s.next = now.Add(surveyPause)
		if missing != d.Status().Missing {
			b.log.Debug("SunSpec models are missing", "device", d.Spec.Name, "err", errors.New(missing))
		}
	}
	d.tell(func(s *Status) { s.Missing = missing })
}

// moved takes in that a block is of another model by now: its points are bad, and
// the list is walked anew.
func (b *Bus) moved(j *job, blk *block, r wire.Fetched, emit bridge.Emit) {
	d := j.device
	j.heard = true
	d.note(r.Err)
	d.survey.renew()
	b.log.Info("SunSpec model has moved", "device", d.Spec.Name, "err", r.Err)
	if !blk.trial {
		j.spoil(bridge.ReasonMoved, r.At, emit, blk)
	}
}

// forget has a device tried again after a day: it may be another by now.
func (b *Bus) forget(d *Device, now time.Time) {
	if d.learnt.Known() && now.Sub(d.learnt.At) >= plan.ForgetAfter {
		b.teach(d, plan.Learnt{At: now, Models: d.learnt.Models, Trip: d.learnt.Trip})
	}
}

// teach sets what is known of a device, and has it kept.
func (b *Bus) teach(d *Device, l plan.Learnt) {
	l.At = time.Now()
	news := !l.SameRules(d.learnt) || !slices.Equal(l.Models, d.learnt.Models)
	d.setLearnt(l)
	b.learn(d.Spec.Name, l)
	if news {
		b.log.Info("learnt what a device allows", "device", d.Spec.Name, "limits", l.String())
	}
}

// absolve has a point read again that its device allows after all.
func (b *Bus) absolve(j *job, blk *block) {
	j.absolved = append(j.absolved, blk.Fields[0].Name)
	b.teach(j.device, j.device.learnt.Without(blk.Table, blk.Fields[0].Reach()))
}

// silence reports whether a reason is that nothing came back: some devices answer
// nothing, or hang up, where others say that an address is not there.
func silence(r bridge.Reason) bool {
	return r == bridge.ReasonTimeout || r == bridge.ReasonDisconnected
}

// mute is silence, or that a gateway says that the unit behind it gave no answer.
func mute(r bridge.Reason) bool {
	return silence(r) || r == bridge.Exception(10) || r == bridge.Exception(11)
}

// unanswered notes that a block was not answered, and reports whether that is
// settled: its parts are asked for as the device is known to be there, or it waits
// for whether others are answered in this cycle.
func (b *Bus) unanswered(j *job, blk *block, now time.Time, emit bridge.Emit) bool {
	if blk.part != nil {
		return b.partUnanswered(j, blk, now, emit)
	}
	if now.Before(blk.split) {
		return false
	}
	switch {
	case j.heard, j.device.alive.After(blk.hush):
		return j.dissect(blk)
	case j.silent == 0 && len(j.queue) > 0 && !b.shared():
		j.silent++
		j.held = append(j.held, blk)
		return true
	}
	return false
}

// unhold takes blocks apart that were not answered in a cycle in which others were.
func (b *Bus) unhold(j *job, now time.Time, emit bridge.Emit) {
	held := j.held
	j.held = nil
	for _, blk := range held {
		if !j.heard || !j.dissect(blk) {
			j.spoil(blk.reason, now, emit, blk)
		}
	}
}

// mostUnanswered is how many parts of a block may be silent before one answers, or
// be refused by what is mostly of the device: it may be gone meanwhile.
const mostUnanswered = 8

// hopeless ends the inquiry of a block of which no part was read so far though many
// were asked for, where that hardly is for what they ask, and reports whether it does.
func (b *Bus) hopeless(j *job, blk *block, now time.Time, emit bridge.Emit) bool {
	if blk.part == nil || !mute(blk.reason) && !soft(blk.reason) ||
		blk.part.Proved() || blk.part.Missed() < mostUnanswered {
		return false
	}
	whole, rest := blk.whole, []*block{blk}
	j.queue = slices.DeleteFunc(j.queue, func(other *block) bool {
		mine := other.whole == whole
		if mine {
			rest = append(rest, other)
		}
		return mine
	})
	whole.split = now.Add(min(time.Duration(whole.failed)*inquiryPause, maxProbePause))
	j.spoil(blk.reason, now, emit, rest...)
	return true
}

// partUnanswered notes that a part of a block was not answered.
func (b *Bus) partUnanswered(j *job, blk *block, now time.Time, emit bridge.Emit) bool {
	if blk.whole.hush.IsZero() {
		return false // the block is refused, not silent
	}
	if b.hopeless(j, blk, now, emit) {
		return true
	}
	if j.dissect(blk) {
		b.conclude(j, blk)
		return true
	}
	return false
}
