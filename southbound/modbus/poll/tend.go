package poll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/upkeep"
	"fieldbridge/southbound/modbus/wire"
)

// tender writes what the devices of a bus are to be written unasked, before polls
// that are due. The goroutine of the bus owns it, but for what is marked.
type tender struct {
	bus     *Bus
	tended  []*Device // those of the bus that have such writes
	leaving []*Device // not the bus's any more, but their stop values are owed
	row     int       // turns since the last poll
	most    int       // of these: as many as may be due at once
	wasOff  bool

	dials atomic.Int64              // connections so far
	off   atomic.Pointer[time.Time] // since when nothing is written; nil is that it may be
}

// isOff reports whether writing is switched off.
func (t *tender) isOff() bool { return t.off.Load() != nil }

const (
	// offRest is how long stop values may be written after writing was switched
	// off: with a request that is under way it is within a second.
	offRest = 800 * time.Millisecond
	// closeRest is how long stop values may be written when the bus ends.
	closeRest = time.Second
)

// ErrOff is why a point cannot be written.
var ErrOff = errors.New("writing is switched off on the machine")

// counted has the connections that dial makes counted.
func (t *tender) counted(dial func(context.Context) (wire.Stream, error)) func(context.Context) (wire.Stream, error) {
	return func(ctx context.Context) (wire.Stream, error) {
		stream, err := dial(ctx)
		if err == nil {
			t.dials.Add(1)
		}
		return stream, err
	}
}

// adopt takes over the devices of the bus; before are those that it had.
func (t *tender) adopt(before []*Device, now time.Time) {
	t.tended, t.most = nil, 0
	names := make(map[string]*Device)
	for _, d := range t.bus.devices {
		names[d.Spec.Name] = d
		if d.keeper == nil {
			continue
		}
		t.tended = append(t.tended, d)
		t.most += 1 + len(d.Spec.Upkeep.Keeps)
		if t.wasOff {
			d.keeper.Off(true, now, 0)
		}
	}
	for _, old := range before {
		d := names[old.Spec.Name]
		if d == old || old.keeper == nil {
			continue
		}
		if d != nil && d.keeper != nil && d.Spec.ID == old.Spec.ID {
			d.keeper.Inherit(old.keeper)
		}
		old.keeper.End(now)
		t.leaving = append(t.leaving, old)
	}
}

// switched takes over whether writing is off.
func (t *tender) switched(now time.Time) {
	since := t.off.Load()
	off := since != nil
	if off == t.wasOff {
		return
	}
	t.wasOff = off
	var rest time.Duration // a request may have been under way since
	if off {
		rest = since.Add(offRest).Sub(now)
		for _, d := range t.leaving {
			d.keeper.Off(true, now, rest)
		}
	}
	for _, d := range t.tended {
		d.keeper.Off(off, now, rest)
	}
}

// turn writes what is due next, now or within the time ahead, and reports whether
// there was something. A poll that is due comes after as many turns as may be due at
// once.
func (t *tender) turn(ctx context.Context, ahead time.Duration) bool {
	b, now := t.bus, time.Now()
	if t.switched(now); len(t.tended)+len(t.leaving) == 0 {
		return false
	}
	if b.down.reason != 0 && now.Before(b.down.until) {
		return false
	}
	if t.row > t.most && b.earliest() != nil {
		t.row = 0
		return false
	}
	d, turn := t.due(now, ahead)
	if turn == nil {
		t.row = 0
		return false
	}
	t.row++
	t.write(ctx, d, turn)
	return true
}

// due returns what is to be written next.
func (t *tender) due(now time.Time, ahead time.Duration) (*Device, *upkeep.Turn) {
	_, all := t.bus.sickest()
	for _, list := range [][]*Device{t.leaving, t.tended} {
		for _, d := range list {
			if d.sick && !all && now.Before(t.bus.budget) {
				continue // others have the line
			}
			if turn := d.keeper.Due(now, ahead, t.dials.Load(), d.away()); turn != nil {
				return d, turn
			}
		}
	}
	t.leaving = slices.DeleteFunc(t.leaving, func(d *Device) bool { return !d.keeper.Owes() })
	return nil, nil
}

// next returns when something is due; zero is nothing.
func (t *tender) next() (next time.Time) {
	if t.isOff() != t.wasOff && len(t.tended)+len(t.leaving) > 0 {
		return time.Unix(1, 0)
	}
	b := t.bus
	for _, list := range [][]*Device{t.leaving, t.tended} {
		for _, d := range list {
			at := d.keeper.Next(t.dials.Load(), d.away())
			if at.IsZero() {
				continue
			}
			if _, all := b.sickest(); d.sick && !all && at.Before(b.budget) {
				at = b.budget
			}
			if b.down.reason != 0 && at.Before(b.down.until) {
				at = b.down.until
			}
			if next.IsZero() || at.Before(next) {
				next = at
			}
		}
	}
	return next
}

// ahead returns how long the next request may take the line in the worst case:
// what is due within that time is written before it.
func (t *tender) ahead(probe *Device, j *job) time.Duration {
	switch {
	case probe != nil:
		return t.bus.probeTimeout(probe)
	case j == nil || j.device.sick:
		return 0
	}
	worst := j.worst()
	if t.bus.Spec.Pipeline > 1 { // several at once
		for _, k := range t.bus.jobs {
			if k.active {
				worst = max(worst, k.worst())
			}
		}
	}
	return worst
}

// worst returns how long the next request of a job may take: to a device that was
// not heard it takes until nobody waits any more.
func (j *job) worst() time.Duration {
	d := j.device
	if d.proof.IsZero() || d.failed > 0 || j.silent > 0 {
		return d.Spec.Longest()
	}
	return d.slowest
}

// before writes what is due while something that others ask for has the line; it
// may be of a device that is silent. Where that takes long, it costs no more than
// half of the writes over again.
func (t *tender) before(ctx context.Context) {
	if len(t.tended) == 0 {
		return
	}
	ahead := time.Duration(0)
	for _, d := range t.bus.devices {
		ahead = max(ahead, d.Spec.Longest())
	}
	for _, d := range t.tended {
		for _, k := range d.Spec.Upkeep.Keeps {
			ahead = min(ahead, k.Every/2)
		}
	}
	t.turn(ctx, ahead)
}

// write writes a turn and notes how it went.
func (t *tender) write(ctx context.Context, d *Device, turn *upkeep.Turn) {
	b, to, begun := t.bus, writer{bus: t.bus, device: d}, time.Now()
	o := upkeep.Outcome{Connection: t.dials.Load(), Answered: true}
	if !b.link.Connected() {
		o.Connection++
	}
	line := to.line()
	if d.sick {
		line.Unit.Timeout = b.patience(d)
	}
	for i, w := range turn.Writes {
		if i > 0 && t.isOff() && !t.wasOff {
			return // it was switched off meanwhile
		}
		at, err := to.there(ctx, w.Field)
		if err == nil {
			if w.From != nil {
				err = line.PutFrom(ctx, at, w.From, w.Value)
			} else {
				err = line.Put(ctx, at, w.Value)
			}
			if ctx.Err() == nil {
				b.requested(trouble(err))
			}
		}
		if err != nil && ctx.Err() != nil {
			return
		}
		if err != nil {
			_, o.Answered = wire.Reason(err)
			o.Answered = o.Answered || errors.Is(err, errNoPlace)
			o.Err = fmt.Errorf("%s: %w", w.Field.Name, err)
			break
		}
	}
	o.Now = time.Now()
	o.Busy = o.Now.Sub(begun)
	b.busy.Add(int64(o.Busy))
	if o.Err != nil {
		b.silence(wire.Fetched{Err: o.Err, At: o.Now, Busy: o.Busy})
	}
	t.note(d, turn, o)
}

// note notes how a turn went, and tells what is news.
func (t *tender) note(d *Device, turn *upkeep.Turn, o upkeep.Outcome) {
	begins, ends := d.keeper.Done(turn, o)
	d.tell(func(s *Status) {
		s.Upkeep++
		if o.Err != nil {
			s.UpkeepFailed++
		}
		switch {
		case o.Err == nil && turn.String() == s.UnkeptWhat:
			s.Unkept, s.UnkeptWhat, s.UnkeptWhy = time.Time{}, "", ""
		case o.Err != nil && !errors.Is(o.Err, errNoPlace):
			if s.Unkept.IsZero() {
				s.Unkept = o.Now
			}
			s.UnkeptWhat, s.UnkeptWhy = turn.String(), o.Err.Error()
		}
	})
	switch {
	case begins && !errors.Is(o.Err, errNoPlace):
		t.bus.log.Debug("not written", "device", d.Spec.Name, "what", turn, "err", o.Err)
	case ends:
		t.bus.log.Debug("written again", "device", d.Spec.Name, "what", turn)
	case turn.Rare() && o.Err == nil:
		t.bus.log.Info("written", "device", d.Spec.Name, "what", turn)
	}
}

// close writes the stop values that are owed when the bus ends, if it can.
func (t *tender) close(ctx context.Context) {
	if len(t.tended)+len(t.leaving) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeRest)
	defer cancel()
	defer t.bus.link.Unwatch()
	t.switched(time.Now())
	for _, d := range t.tended {
		d.keeper.End(time.Now())
	}
	t.leaving = append(t.leaving, t.tended...)
	t.tended = nil
	for ctx.Err() == nil && t.bus.down.reason == 0 {
		if d, turn := t.due(time.Now(), 0); turn != nil {
			t.write(ctx, d, turn)
		} else if at := t.next(); at.IsZero() || !pause.Sleep(ctx, time.Until(at)) {
			return
		}
	}
}

// away reports whether a device did not answer when it was asked last.
func (d *Device) away() bool { return d.sick || d.failed > 0 }
