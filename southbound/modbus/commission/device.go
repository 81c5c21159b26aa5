package commission

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/set"
	"fieldbridge/southbound/modbus/wire"
)

// Device is a device of a configuration, to be asked by hand.
type Device struct {
	wire.Unit
	Place  wire.Place // of its bus
	Way    string     // of writing, see package set
	Limits plan.Limits
	Cost   plan.Cost
	Fields []*point.Field // that are polled
	Others []*point.Field // that are not, or not even read
	Before []Step         // written before each other write
}

// Step is a value that a field is set to.
type Step struct {
	Field *point.Field
	Value bridge.Value
}

// Point is what a point of a device was read as.
type Point struct {
	*point.Field // where it is on the device
	Value        bridge.Value
	Raw          string // what its registers hold, for people; "" if they were not read
	Err          error  // why they were not
}

// Place says where the point is.
func (p Point) Place() string {
	if p.Models != nil {
		return fmt.Sprintf("%s %d of its SunSpec model", p.Table, p.Address)
	}
	return fmt.Sprintf("%s %d", p.Table, p.Address)
}

// Text is the value for people, with its name of an enum.
func (p Point) Text() string {
	if !p.Value.Good() {
		return "bad: " + p.Value.Reason().String()
	}
	if n, ok := p.Value.Float(); ok && p.Enum[int64(n)] != "" {
		return fmt.Sprintf("%v (%s)", p.Value, p.Enum[int64(n)])
	}
	return p.Value.String()
}

// ReadPoints reads fields of a device, in as few requests as its limits allow, and
// returns them in their order. Where the device refuses a request, or is silent to it
// while it answers others, each of its points is asked for alone, so that it is known
// which one is not there. The error is that the device does not answer.
func (m *Master) ReadPoints(ctx context.Context, d Device, fields []*point.Field) ([]Point, error) {
	known, err := m.locate(ctx, d, fields)
	if err != nil {
		return nil, err
	}
	read, may := make(map[string]Point), []*point.Field{}
	for _, f := range fields {
		if f.WriteOnly() {
			read[f.Name] = Point{f, bridge.Bad(bridge.ReasonGivenUp), "", errWriteOnly}
		} else {
			may = append(may, f)
		}
	}
	r := &reader{m: m, d: d, read: read}
	if err := r.all(ctx, known.Lay(inOrder(may), d.Limits, d.Cost).Blocks); err != nil {
		return nil, err
	}
	all := make([]Point, 0, len(fields))
	for _, f := range known.Present(fields) {
		p, ok := read[f.Name]
		if !ok {
			p = Point{f, bridge.Bad(bridge.ReasonGivenUp), "", unplaced(known, f)}
		}
		all = append(all, p)
	}
	return all, nil
}

// errWriteOnly is why a point is not read.
var errWriteOnly = errors.New("it may be written only (access: write), and is never read")

// unplaced says why a point is in no request.
func unplaced(known plan.Learnt, f *point.Field) error {
	if f.Models == nil {
		return errors.New("it does not fit in a request: see max_words")
	}
	return errors.New(cmp.Or(known.Missing([]*point.Field{f}), "the device's SunSpec model is too short for it"))
}

// locate walks the SunSpec list of a device if some of the fields are in models.
func (m *Master) locate(ctx context.Context, d Device, fields []*point.Field) (plan.Learnt, error) {
	if !slices.ContainsFunc(fields, func(f *point.Field) bool { return f.Models != nil }) {
		return plan.Learnt{}, nil
	}
	models, err := m.SunSpec(ctx, int(d.ID))
	if err != nil && !errors.Is(err, ErrNoSunSpec) {
		return plan.Learnt{}, err
	}
	return plan.Learnt{Models: append([]plan.SunSpecModel{}, models...)}, nil
}

// reader reads the points of a device, once each.
type reader struct {
	m     *Master
	d     Device
	read  map[string]Point
	heard bool  // the device answered something
	first error // of what was not answered
	deaf  []plan.Block
}

const (
	mostDeaf = 3 // requests to a device that answered none
	mostLone = 8 // points of a request, one after the other, that are not answered
)

// all reads blocks, then what was not answered in parts.
func (r *reader) all(ctx context.Context, blocks []plan.Block) error {
	for _, b := range blocks {
		if err := r.block(ctx, b, 1+r.d.Retries); err != nil {
			return err
		}
		if !r.heard && len(r.deaf) >= mostDeaf {
			return r.first
		}
	}
	deaf := r.deaf
	for _, b := range deaf {
		if err := r.alone(ctx, b); err != nil {
			return err
		}
	}
	if !r.heard && r.first != nil {
		return r.first
	}
	return nil
}

// block reads a block, or where it is refused the points of it one by one. One that
// is not answered is noted. An error is of the line.
func (r *reader) block(ctx context.Context, b plan.Block, attempts int) error {
	got := r.m.client.FetchAsk(ctx, r.d.Unit, b.Ask(), attempts)
	reason, answered := wire.Reason(got.Err)
	if answered {
		r.heard = true
	}
	switch {
	case got.Err == nil:
		for _, p := range b.Fields {
			r.read[p.Name] = Point{p.Field, p.Decode(got.Data), p.Raw(got.Data), nil}
		}
	case errors.As(got.Err, new(*wire.ConnectError)) || ctx.Err() != nil:
		return got.Err
	case !answered:
		r.deaf = append(r.deaf, b)
		r.first = cmp.Or(r.first, got.Err)
		for _, p := range b.Fields {
			r.read[p.Name] = Point{p.Field, bridge.Bad(reason), "", &LoneError{got.Err}}
		}
	case len(b.Fields) == 1:
		p := b.Fields[0]
		r.read[p.Name] = Point{p.Field, bridge.Bad(reason), "", wire.Plain(got.Err)}
	default:
		for _, p := range b.Fields {
			if err := r.block(ctx, plan.Alone(p.Field), attempts); err != nil {
				return err
			}
		}
	}
	return nil
}

// alone reads the points of a block that was not answered one by one, as long as
// that is of any use.
func (r *reader) alone(ctx context.Context, b plan.Block) error {
	if len(b.Fields) == 1 {
		return nil
	}
	silent := 0
	for _, p := range b.Fields {
		before := len(r.deaf)
		if err := r.block(ctx, plan.Alone(p.Field), 1); err != nil {
			return err
		}
		if silent++; len(r.deaf) == before {
			silent = 0
		}
		if silent >= mostLone || !r.heard && silent > 1 {
			return nil
		}
	}
	return nil
}

// LoneError is why a point was not read of a device that answers others.
type LoneError struct{ Err error }

// Error says so.
func (e *LoneError) Error() string { return e.Err.Error() + "; the device answers others" }

// Unwrap returns what came of it.
func (e *LoneError) Unwrap() error { return e.Err }

// MayWrite says why a point must not be set to v, nil if it may.
func MayWrite(f *point.Field, v bridge.Value) error {
	if f.Writable == nil {
		return errors.New("not writable: add writable: true to the point, or {min: ..., max: ...}")
	}
	if err := f.Within(v); err != nil {
		return err
	}
	_, err := f.Encode(v)
	return err
}

// WritePoint sets a point of a device, and finds out what became of it as its
// confirm says. The error is what the device or the line said, for [Advice].
func (m *Master) WritePoint(ctx context.Context, d Device, f *point.Field, v bridge.Value) (bridge.Written, error) {
	if err := MayWrite(f, v); err != nil {
		return bridge.NotWritten(bridge.Permanent(err)), nil
	}
	if f.Writable.Pulse > 0 && v.Kind() == bridge.KindBool && v.Truth() {
		return bridge.NotWritten(bridge.Permanent(errPulse)), nil
	}
	known, err := m.locate(ctx, d, append(slices.Clone(d.Fields), f))
	if err != nil {
		return bridge.NotWritten(err), err
	}
	placed, _ := known.Placed([]*point.Field{f})
	if len(placed) == 0 {
		return bridge.NotWritten(unplaced(known, f)), nil
	}
	l := set.Line{Client: m.client, Unit: d.Unit, Way: d.Way}
	for _, step := range d.Before {
		if err := l.Put(ctx, step.Field, step.Value); err != nil {
			return bridge.NotWritten(fmt.Errorf("before_write, %s: %w", step.Field.Name, err)), err
		}
	}
	var shows plan.Block
	i := 0
	if c := placed[0].Confirming(); c != nil {
		shows, i = m.reads(ctx, d, known, c)
	}
	return write(ctx, l, placed[0], v, shows, i)
}

// errPulse is why a pulse is not written from here: who ends it if we are killed?
var errPulse = errors.New("a pulse is written by a running gateway alone, which remembers to end it: start the " +
	"gateway, " +
	"or write by URL and address")

// reads returns a request that reads a point, and the point's place in it: the
// one that polls it if the device answers that, as some do no other.
func (m *Master) reads(ctx context.Context, d Device, known plan.Learnt, f *point.Field) (plan.Block, int) {
	for _, b := range known.Lay(inOrder(d.Fields), d.Limits, d.Cost).Blocks {
		i := slices.Index(b.Names(), f.Name)
		if i >= 0 && m.client.FetchAsk(ctx, d.Unit, b.Ask(), 1+d.Retries).Err == nil {
			return b, i
		}
	}
	if placed, _ := known.Placed([]*point.Field{f}); len(placed) > 0 {
		f = placed[0]
	}
	return plan.Alone(f), 0
}

// inOrder returns fields as [plan.Learnt.Lay] wants them.
func inOrder(fields []*point.Field) []*point.Field {
	return slices.SortedStableFunc(slices.Values(fields), func(a, b *point.Field) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), slices.Compare(a.Models, b.Models), cmp.Compare(a.Address, b.Address))
	})
}
