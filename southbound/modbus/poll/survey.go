package poll

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
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
	rounds int                 // walks so far that did not agree
	before []plan.SunSpecModel // what the last of them found
}

// mostRounds is how many walks of a list that changes all the time a cycle waits
// for.
const mostRounds = 4

// surveyPause is the least time between two walks of a device that answers.
const surveyPause = 10 * time.Minute

// reconnectPause is the least time between two walks because of new connections:
// some devices close theirs after each answer.
const reconnectPause = 10 * time.Second

// due reports whether the list is to be walked now.
func (s *survey) due(now time.Time) bool { return s.wanted && !now.Before(s.next) }

// renew has the list walked anew, from its beginning.
func (s *survey) renew() {
	s.next, s.rounds = time.Time{}, 0
	s.restart()
}

// restart has a walk begin at the base.
func (s *survey) restart() { s.found, s.head, s.tried = nil, 0, 0 }

// agrees reports whether what a walk found is believed: it was known, nil is that
// nothing is, or the walk before found it, too. Otherwise the next walk begins: a
// list that changes under a walk makes one that never was.
func (s *survey) agrees(known []plan.SunSpecModel) bool {
	if known != nil && slices.Equal(known, s.found) || s.rounds > 0 && slices.Equal(s.before, s.found) {
		return true
	}
	s.before = s.found
	s.rounds++
	s.restart()
	return false
}

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

// reconnected has the list walked anew, not too often, when the connection to the
// device was made anew: it may have started again, with another list.
func (s *survey) reconnected(now time.Time) {
	if s.last.IsZero() || s.due(now) {
		return // a walk is under way, or about to begin
	}
	if again := s.last.Add(reconnectPause); now.Before(again) {
		s.next = again
	} else {
		s.renew()
	}
}

// base returns where the list is looked for.
func (s *survey) base() int { return plan.SunSpecBases[s.at] }

// address returns where the next two registers to read are.
func (s *survey) address() int {
	if s.head == 0 {
		return s.base()
	}
	return s.head
}

// silent notes that a device did not answer: it may be so at one base only.
func (s *survey) silent() {
	if s.wanted && s.head == 0 {
		s.at = (s.at + 1) % len(plan.SunSpecBases)
	}
}

// take notes what was read at the address, nil if that was refused, and reports
// whether the walk is over.
func (s *survey) take(data []byte) (over bool) {
	switch {
	case s.head == 0 && data != nil && binary.BigEndian.Uint32(data) == plan.SunSpecMark:
		s.head, s.found = s.base()+2, []plan.SunSpecModel{}
		return false
	case s.head == 0:
		s.tried |= 1 << s.at
		s.at = (s.at + 1) % len(plan.SunSpecBases)
		return s.tried == 1<<len(plan.SunSpecBases)-1
	case data != nil && binary.BigEndian.Uint16(data) != plan.SunSpecEnd:
		m := plan.SunSpecModel{ID: int(binary.BigEndian.Uint16(data)), Address: s.head,
			Length: int(binary.BigEndian.Uint16(data[2:]))}
		s.found = append(s.found, m)
		s.head += 2 + m.Length
		return s.head+2 > 1<<16 || len(s.found) >= plan.SunSpecMost
	}
	return true
}

// errMoved is that a model is not where the list had it.
var errMoved = errors.New("another SunSpec model is there now")

// refusal reports whether an exception may well mean that a model is not where it
// was. An illegal function, a device that is busy, and a gateway's exceptions mean
// something else.
func refusal(code byte) bool { return !soft(bridge.Exception(code)) && code != 10 && code != 11 }

// inPlace makes sure that what was read as b is of the models that it was planned
// for, as a device's list may change at any time: their ids and lengths are in
// what was read, or are read right after it. What is refused may be so because the
// model is elsewhere, too.
func (d *Device) inPlace(ctx context.Context, c *wire.Client, b *plan.Block, r *wire.Fetched) {
	code, refused := wire.ExceptionCode(r.Err)
	if refused = refused && refusal(code); r.Err != nil && !refused {
		return
	}
	heads := b.Heads(refused)
	var moved *point.Head
	if !refused {
		if moved = b.Moved(r.Data); moved == nil && len(heads) > 0 {
			r.Data = bytes.Clone(r.Data)
		}
	}
	for i := 0; i < len(heads) && moved == nil; i++ {
		h := c.Fetch(ctx, d.Spec.Unit, b.Table, heads[i].Address, point.HeadWords, 1+d.Spec.Retries)
		r.Failed, r.Busy = append(r.Failed, h.Failed...), r.Busy+h.Busy
		code, there := wire.ExceptionCode(h.Err)
		switch {
		case h.Err == nil && !heads[i].Shows(h.Data), there && refusal(code):
			moved = heads[i]
		case h.Err != nil:
			r.Err = h.Err
			return
		}
	}
	if moved != nil {
		r.Err = fmt.Errorf("read %s %s %d+%d: model %d is not at %d any more: %w", d.Spec.Name, b.Table, b.First, b.Count,
			moved.ID, moved.Address, errMoved)
	}
}
