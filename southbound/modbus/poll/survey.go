package poll

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// survey is the walk of a SunSpec device's list of models, a request at a time,
// between the requests of others. It is made before the first cycle, after the
// device was away (another may be in its place), daily, and soon where a model
// is missing or an address is refused.
type survey struct {
	wanted bool      // some points are in models
	next   time.Time // when to walk; zero is at once
	last   time.Time // when it was walked
	at     int       // index of the base that is tried
	tried  int       // a bit for each base where there is no list
	head   int       // where the next model's id is; 0 while the list is looked for
	found  []plan.SunSpecModel
}

// surveyPause is the least time between two walks of a device that answers.
const surveyPause = 10 * time.Minute

// due reports whether the list is to be walked now.
func (s *survey) due(now time.Time) bool { return s.wanted && !now.Before(s.next) }

// renew has the list walked anew, from its beginning.
func (s *survey) renew() { s.next, s.found, s.head, s.tried = time.Time{}, nil, 0, 0 }

// doubt has the list walked anew when it was not of late: an address in it was
// refused.
func (s *survey) doubt(now time.Time) {
	if again := s.last.Add(surveyPause); again.Before(s.next) {
		s.next = again
		if again.Before(now) {
			s.renew()
		}
	}
}

// base returns where the list is looked for.
func (s *survey) base() int { return plan.SunSpecBases[s.at] }

// silent notes that a device did not answer: it may be so at one base only.
func (s *survey) silent() {
	if s.wanted && s.head == 0 {
		s.at = (s.at + 1) % len(plan.SunSpecBases)
	}
}

// whole returns all points of a job as one block that cannot be read.
func (j *job) whole() *block {
	b := &block{Block: plan.Block{Table: wire.Holding}}
	for _, f := range j.device.learnt.Present(j.fields) {
		b.Fields = append(b.Fields, point.Placed{Field: f})
	}
	return b
}

// walk does the next request of a survey that a cycle waits for.
func (b *Bus) walk(ctx context.Context, j *job, emit bridge.Emit) {
	d, now := j.device, time.Now()
	s := &d.survey
	switch {
	case b.down.reason != 0 && now.Before(b.down.until):
		j.abandon(now, b.down.reason, emit)
	case d.sick:
		j.abandon(now, d.reason, emit)
	case !s.due(now):
		j.survey(d) // another job of the device had it walked
	default:
		head := s.head
		address := head
		if address == 0 {
			address = s.base()
		}
		r := b.client.Fetch(ctx, d.Spec.Unit, wire.Holding, address, 2, 1+d.Spec.Retries)
		data, err := b.book(ctx, r)
		if ctx.Err() != nil {
			return
		}
		if s.head != head {
			return // the connection was made anew meanwhile, and so is the survey
		}
		b.walked(j, data, err, emit)
	}
	if len(j.queue) == 0 {
		b.finish(j, emit)
	}
}

// walked takes in an answer to a survey.
func (b *Bus) walked(j *job, data []byte, err error, emit bridge.Emit) {
	d := j.device
	s := &d.survey
	if err != nil {
		reason, answered := wire.Reason(err)
		if _, exception := wire.ExceptionCode(err); !exception || !answered {
			s.silent()
			d.note(err)
			d.reason, d.err = reason, err
			j.abandon(time.Now(), reason, emit)
			return
		}
	}
	switch {
	case s.head == 0 && err == nil && binary.BigEndian.Uint32(data) == plan.SunSpecMark:
		s.head, s.found = s.base()+2, []plan.SunSpecModel{}
		return
	case s.head == 0:
		s.tried |= 1 << s.at
		s.at = (s.at + 1) % len(plan.SunSpecBases)
		if s.tried != 1<<len(plan.SunSpecBases)-1 {
			return
		}
	case err == nil && binary.BigEndian.Uint16(data) != plan.SunSpecEnd:
		m := plan.SunSpecModel{ID: int(binary.BigEndian.Uint16(data)), Address: s.head,
			Length: int(binary.BigEndian.Uint16(data[2:]))}
		s.found = append(s.found, m)
		if s.head += 2 + m.Length; s.head+2 <= 1<<16 && len(s.found) < plan.SunSpecMost {
			return
		}
	}
	b.surveyed(d, time.Now())
	j.survey(d)
}

// surveyed ends a survey.
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
	d.setMissing(missing)
}

// survey begins the requests of a cycle that waited for a survey.
func (j *job) survey(d *Device) {
	j.surveying = false
	if j.stale {
		j.plan()
	}
	j.queue = append(j.queue[:0], j.blocks...)
}
