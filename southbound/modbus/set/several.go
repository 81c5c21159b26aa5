package set

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// Several are writes of points of one unit in one turn of the bus, in an order.
// Those that follow one another, in the order and on the unit, are one request of
// function 15 or 16 (Modbus Application Protocol V1.1b3, sections 6.11 and 6.12);
// parts of a register are, too, where all of its bits are given or it may be
// written back whole.
type Several []*Writing

// Reads says by which request of a unit a field is read, and its place in it.
type Reads func(f *point.Field) (b plan.Block, i int)

// Send writes, at most once. What comes after a request that was not taken is not
// sent.
func (s Several) Send(ctx context.Context, l Line, reads Reads) {
	for _, w := range s {
		if err := w.ready(ctx, l, reads); err != nil {
			if len(s) > 1 {
				err = fmt.Errorf("%s: %w", w.field.Name, err)
			}
			s.spoil(err)
			return
		}
	}
	for i, r := range requests(s, l.Way) {
		if err := l.stopped(ctx); i > 0 && err != nil {
			s.spoil(err)
			return
		}
		l.Client.To(ctx, l.Unit.ID, l.Unit.Timeout)
		l.Client.Pause(l.Unit.Pause)
		err := r.send(l)
		for _, w := range r.writes {
			w.took(err)
			w.until = time.Now().Add(w.field.Writable.Within)
		}
		if r.writes[0].sent < odd {
			s.spoil(errors.New("it is not sent after that"))
			return
		}
	}
}

// stopped returns why no further request is sent.
func (l Line) stopped(ctx context.Context) error {
	if l.Stop != nil && l.Stop() {
		return errors.New("writing was switched off meanwhile")
	}
	return ctx.Err()
}

// ready reads what has to be known before a write.
func (w *Writing) ready(ctx context.Context, l Line, reads Reads) error {
	if err := w.scale(ctx, l); err != nil || w.field.Writable.MaxStep == nil || w.exempt(w.value) {
		return err
	}
	own, i := reads(w.field)
	return w.checkStep(ctx, l, own, i)
}

// spoil notes why nothing more is sent.
func (s Several) spoil(err error) {
	for _, w := range s {
		if w.sent == unsent && w.err == nil {
			w.err = err
		}
	}
}

// Open reports whether more can be known by looking again.
func (s Several) Open(now time.Time) bool {
	for _, w := range s {
		if w.Open(now) {
			return true
		}
	}
	return false
}

// Pause is how long to wait before the next look.
func (s Several) Pause() time.Duration {
	least := time.Duration(0)
	for _, w := range s {
		if p := w.Pause(); w.Open(time.Now()) && (least == 0 || p < least) {
			least = p
		}
	}
	return cmp.Or(least, leastPause)
}

// Trouble returns what the writes say of the line: nil while the unit answers.
func (s Several) Trouble() error {
	for _, w := range s {
		if err := w.Trouble(); err != nil {
			return err
		}
	}
	return nil
}

// Written returns what is known of all of them as one. Refused is only what was
// sent in no part.
func (s Several) Written() bridge.Written {
	if len(s) == 1 {
		return s[0].Written()
	}
	sum := bridge.Written{Outcome: bridge.Done, Enough: true}
	var texts []string
	taken, alike := 0, true
	for _, w := range s {
		is := w.Written()
		alike = alike && is.Text == s[0].Written().Text
		if w.sent >= lost {
			taken++
		}
		if is.Text != "" {
			texts = append(texts, w.field.Name+": "+is.Text)
		}
		sum.Enough = sum.Enough && (is.Outcome == bridge.Done || is.Enough)
		if worse(is.Outcome, sum.Outcome) {
			sum.Outcome = is.Outcome
		}
	}
	sum.Enough = sum.Enough && sum.Outcome == bridge.Unconfirmed
	if sum.Outcome == bridge.Refused && taken > 0 {
		sum.Outcome = bridge.Failed
	}
	if sum.Text = strings.Join(texts, "; "); alike {
		sum.Text = s[0].Written().Text
	}
	if taken > 0 && taken < len(s) {
		sum.Text = fmt.Sprintf("%d of %d points were written: %s", taken, len(s), sum.Text)
	}
	return sum
}

// worse orders outcomes: done, unconfirmed, failed, refused.
func worse(a, b bridge.WriteOutcome) bool {
	order := [...]int{bridge.Done: 0, bridge.Unconfirmed: 1, bridge.Failed: 2, bridge.Refused: 3}
	return order[a] > order[b]
}

// request is one request, and the writes that it makes.
type request struct {
	table  wire.Table
	first  int
	data   []byte   // of registers as they go over the wire, of coils a byte each
	given  []uint16 // which bits of each register
	writes []*Writing
}

// Most that one request writes.
const (
	mostRegisters = 123
	mostCoils     = 1968
)

// requests puts together what goes in one request.
func requests(all []*Writing, way string) []*request {
	var made []*request
	for _, w := range all {
		var last *request
		if len(made) > 0 {
			last = made[len(made)-1]
		}
		if last == nil || !last.takes(w, way) {
			last = &request{table: w.field.Table, first: w.field.Address}
			made = append(made, last)
		}
		last.add(w)
	}
	var parted []*request
	for _, r := range made {
		if len(r.writes) == 1 || r.whole() || r.rewritable() {
			parted = append(parted, r)
			continue
		}
		for _, w := range r.writes {
			one := &request{table: r.table, first: w.field.Address}
			one.add(w)
			parted = append(parted, one)
		}
	}
	return parted
}

// takes reports whether a write can go on at the end of r.
func (r *request) takes(w *Writing, way string) bool {
	f := w.field
	if f.Table != r.table || !joinable(f, way) || !joinable(r.writes[0].field, way) {
		return false
	}
	if r.table == wire.Coil {
		return f.Address == r.first+len(r.data) && len(r.data) < mostCoils
	}
	end := r.first + len(r.given)
	if f.Mask != 0 && f.Address == end-1 {
		mask, _ := given(f, w.data)
		return r.given[len(r.given)-1]&mask == 0
	}
	return f.Address == end && len(r.given)+f.Words <= mostRegisters
}

// joinable reports whether a field may be written together with others.
func joinable(f *point.Field, way string) bool {
	if f.Mask != 0 && f.Words > 1 || f.Together != (point.Span{}) && f.Writable.ReadModifyWrite {
		return false
	}
	if f.Table == wire.Coil && f.Sides != nil || f.Size > 0 {
		return false
	}
	switch f.Writable.Function {
	case 0:
		return way != Single
	case 15, 16:
		return true
	}
	return false
}

// add puts a write at the end of r.
func (r *request) add(w *Writing) {
	r.writes = append(r.writes, w)
	f := w.field
	if r.table == wire.Coil {
		r.data = append(r.data, w.data[0])
		return
	}
	if f.Mask == 0 {
		r.data = append(r.data, w.data...)
		for range f.Words {
			r.given = append(r.given, 0xffff)
		}
		return
	}
	mask, value := given(f, w.data)
	if f.Address == r.first+len(r.given) {
		r.data, r.given = append(r.data, 0, 0), append(r.given, 0)
	}
	i := len(r.given) - 1
	r.given[i] |= mask
	binary.BigEndian.PutUint16(r.data[2*i:], binary.BigEndian.Uint16(r.data[2*i:])|value)
}

// given returns which bits of its register a field has, and what they are to be.
func given(f *point.Field, data []byte) (mask, value uint16) {
	var m [2]byte
	f.Load.Store(m[:], f.Mask<<f.Shift)
	return binary.BigEndian.Uint16(m[:]), binary.BigEndian.Uint16(data)
}

// whole reports whether all bits of all registers are given.
func (r *request) whole() bool {
	for _, mask := range r.given {
		if mask != 0xffff {
			return false
		}
	}
	return true
}

// rewritable reports whether what is not given may be written back as it was.
func (r *request) rewritable() bool {
	for _, w := range r.writes {
		f := w.field
		if f.Mask != 0 && r.given[f.Address-r.first] != 0xffff && !f.Writable.ReadModifyWrite {
			return false
		}
	}
	return true
}

// send sends the request.
func (r *request) send(l Line) error {
	first := uint16(r.first)
	switch {
	case len(r.writes) == 1:
		return l.put(r.writes[0].field, r.writes[0].data)
	case r.table == wire.Coil:
		packed := make([]byte, (len(r.data)+7)/8)
		for i, on := range r.data {
			packed[i/8] |= on << (i % 8)
		}
		_, err := l.Client.WriteMultipleCoils(first, uint16(len(r.data)), packed)
		return plain(err, 15)
	case !r.whole():
		got, err := l.Client.ReadHoldingRegisters(first, uint16(len(r.given)))
		if err != nil {
			return beforeError{wire.Plain(err)}
		}
		for i, mask := range r.given {
			is := binary.BigEndian.Uint16(got[2*i:])&^mask | binary.BigEndian.Uint16(r.data[2*i:])
			binary.BigEndian.PutUint16(r.data[2*i:], is)
		}
	}
	_, err := l.Client.WriteMultipleRegisters(first, uint16(len(r.given)), r.data)
	return plain(err, 16)
}
