// Package set writes a point of a Modbus unit and finds out what became of it: it
// encodes the value, keeps to the largest step, writes a part of a register by
// function 22 (Modbus Application Protocol V1.1b3, section 6.16), and reads back
// what was written until it shows.
package set

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// The ways to write registers and coils; Auto is [Single] where one will do.
const (
	Auto     = "auto"
	Single   = "single"   // functions 5 and 6
	Multiple = "multiple" // functions 15 and 16
)

// Line is a unit and who asks it. Nothing else may use the client meanwhile.
type Line struct {
	Client *wire.Client
	Unit   wire.Unit
	Way    string // of writing, where the point says nothing
	// Stop reports whether no further request may be sent that writes. Nil is that
	// it may.
	Stop func() bool
	// Away is that the unit did not answer before: its silence says nothing new.
	Away bool
}

// Writing is a write of a point under way: what was sent, what the unit answered
// and what was seen since. It is for one goroutine at a time.
type Writing struct {
	field *point.Field
	value bridge.Value
	data  []byte // as it goes over the wire

	sent stage
	err  error // why it is not known to be written, or what is odd about the answer

	until time.Time // so long it is looked for
	looks int
	shown bool         // the point that is to show it has the value
	seen  bridge.Value // of that point, the last time
	blind error        // why it could not be read the last time
	deaf  bool         // there is nothing more to be seen
	last  bool         // it is looked at once more, at the end
	all   bool         // it went to all units of a line, of which none answers
}

// stage is how far a write got.
type stage uint8

const (
	unsent   stage = iota // no request left that writes
	refused               // the unit answered with an exception
	lost                  // no answer, or none that says anything
	odd                   // an answer that is none of the two
	accepted              // the unit repeated what was written
)

// New returns a write of v to f, whose place is known. It sends nothing. An error
// is of the value.
func New(f *point.Field, v bridge.Value) (*Writing, error) {
	w := &Writing{field: f, value: v}
	if f.Factor != nil {
		return w, nil // what goes over the wire is not known yet
	}
	var err error
	if w.data, err = f.Encode(v); err != nil {
		return nil, bridge.Permanent(err)
	}
	return w, nil
}

// scale reads the scale point of what is to be written, if it has one, in the turn
// that writes it.
func (w *Writing) scale(ctx context.Context, l Line) error {
	if w.field.Factor == nil {
		return nil
	}
	f, err := l.scaled(ctx, w.field)
	if err != nil {
		return err
	}
	scaled, err := New(f, w.value)
	if err == nil {
		w.field, w.data = scaled.field, scaled.data
	}
	return err
}

// took takes in how the requests that write went.
func (w *Writing) took(err error) {
	var (
		connect *wire.ConnectError
		echo    *wire.EchoError
		part    *partError
		before  beforeError
	)
	w.err = err
	code, exception := wire.ExceptionCode(err)
	switch {
	case err == nil:
		w.sent = accepted
	case errors.As(err, &part):
		w.sent = lost
	case errors.As(err, &connect):
		w.sent = unsent
	case errors.As(err, &echo):
		w.sent = odd
	case exception && code == acknowledged:
		w.sent = odd
		w.err = fmt.Errorf("%w: it goes on with it", w.err)
	case exception && code != targetSilent:
		w.sent = refused
		if code == busy {
			w.err = fmt.Errorf("%w: it may be sent again", w.err)
		}
	case errors.As(err, &before):
		w.sent = unsent
	default:
		w.sent = lost
	}
}

// Exceptions that mean something of their own (Modbus Application Protocol
// V1.1b3, section 7): 5 is that the request was accepted and takes long, 11 that
// the unit behind a gateway did not answer.
const (
	acknowledged = 5
	busy         = 6 // nothing was done
	targetSilent = 11
)

// Confirming returns the point that is to show the value; nil is that none is.
func (w *Writing) Confirming() *point.Field { return w.field.Confirming() }

// Open reports whether more can be known of the write by looking again.
func (w *Writing) Open(now time.Time) bool {
	return w.sent >= lost && w.field.Confirming() != nil && !w.shown && !w.deaf &&
		(w.looks == 0 || now.Before(w.until) || w.last && now.Before(w.until.Add(point.DefaultWithin)))
}

// Pause is how long to wait before the next look.
func (w *Writing) Pause() time.Duration {
	if w.last {
		return max(leastPause, time.Until(w.until))
	}
	return min(leastPause<<min(w.looks, 10), mostPause)
}

// Between two looks.
const (
	leastPause = 50 * time.Millisecond
	mostPause  = time.Second
)

// Look reads the point that is to show the value, by the request b; i is its
// place among b's fields.
func (w *Writing) Look(ctx context.Context, l Line, b plan.Block, i int) {
	attempts, last := 1, w.last
	w.last = false
	if w.looks++; w.field.Writable.Within == 0 {
		attempts += l.Unit.Retries // there is no second look
	}
	r := l.Client.FetchAsk(ctx, l.Unit, b.Ask(), attempts)
	if errors.Is(r.Err, wire.ErrAllUnits) {
		w.all, w.deaf = true, true
		return
	}
	if w.blind = r.Err; r.Err != nil {
		_, answered := wire.Reason(r.Err)
		code, exception := wire.ExceptionCode(r.Err)
		switch {
		case exception && code <= 3:
			w.deaf = true
		case w.sent == lost && !answered: // some are deaf while they store what was written
			w.last = !last && !l.Away && w.field.Writable.Within > 0
			w.deaf = !w.last
		}
		return
	}
	at := b.Fields[i]
	w.seen = at.Decode(r.Data)
	want := w.wanted(at.Field)
	w.shown = want != nil && at.Holds(r.Data, want)
}

// wanted returns the registers of a point that show what was written; nil is that
// none can.
func (w *Writing) wanted(at *point.Field) []byte {
	if w.field.Writable.Shown == nil {
		return w.data
	}
	v := w.field.Decode(w.data)
	if v.Kind() == bridge.KindBool && at.Kind != point.KindBool {
		v = bridge.Uint(v.Bits())
	}
	data, err := at.Encode(v)
	if err != nil {
		return nil
	}
	return data
}

// exempt reports whether the limits do not apply to a value.
func (w *Writing) exempt(v bridge.Value) bool {
	n, ok := v.Float()
	return ok && w.field.Writable.Exempt(n)
}

// checkStep refuses a change that is too large.
func (w *Writing) checkStep(ctx context.Context, l Line, own plan.Block, i int) error {
	r := l.Client.FetchAsk(ctx, l.Unit, own.Ask(), 1+l.Unit.Retries)
	if r.Err != nil {
		if code, ok := wire.ExceptionCode(r.Err); ok && code != targetSilent {
			return bridge.Permanent(r.Err)
		}
		return r.Err
	}
	is := own.Fields[i].Decode(r.Data)
	from, ok1 := is.Float()
	to, ok2 := w.value.Float()
	if !ok1 || !ok2 {
		return fmt.Errorf("the step cannot be checked: the device has %v", is)
	}
	if w.exempt(is) {
		return nil
	}
	if step := w.field.Writable.MaxStep.Float(); math.Abs(to-from) > step*(1+1e-9) {
		return bridge.Permanent(fmt.Errorf("from %v to %v is more than max_step %v", is, w.value,
			w.field.Writable.MaxStep))
	}
	return nil
}

// Err returns what is odd about how it was written; nil is that the unit repeated
// it.
func (w *Writing) Err() error { return w.err }

// Rises reports whether v begins a pulse of f.
func Rises(f *point.Field, v bridge.Value) bool {
	if f.Setting().Pulse == 0 {
		return false
	}
	data, err := f.Encode(v)
	return err == nil && f.Decode(data).Truth()
}

// Sent reports whether the device may have the value.
func (w *Writing) Sent() bool { return w.sent >= lost }

// Taken reports whether the device said that it has the value, or goes on with it.
func (w *Writing) Taken() bool { return w.sent >= odd }

// Trouble returns what the write says of the line: nil while the unit answers.
func (w *Writing) Trouble() error {
	if w.blind != nil {
		return w.blind
	}
	if w.sent == lost || w.sent == unsent && !bridge.IsPermanent(w.err) {
		return w.err
	}
	return nil
}
