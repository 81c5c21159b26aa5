package commission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/plan"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/set"
	"fieldbridge/southbound/modbus/wire"
)

// Master asks units of one bus, one request after the other, outside any
// configuration: for commissioning. It is for one goroutine.
type Master struct {
	link    wire.Carrier
	client  *wire.Client
	timeout time.Duration
}

// openTimeout is how long a port may take to be opened, and its holders to be found.
const openTimeout = 10 * time.Second

// Options are how a [Master] reaches its bus.
type Options struct {
	// Relay, if not nil, sends requests over a line that someone else
	// holds: a running gateway.
	Relay func(ctx context.Context, unit byte, pdu []byte) ([]byte, error)
	// Trace, if not nil, is told each frame in hexadecimal and what it means.
	Trace func(line string)
}

// Open returns a master for the bus at p, or behind o's relay, that waits so
// long for an answer. It asks one thing at a time whatever p's pipeline is, and
// connects with the first request.
func Open(p wire.Place, timeout time.Duration, o Options) *Master {
	m := &Master{timeout: timeout}
	if o.Relay != nil {
		m.link = wire.NewRelay(tracedRelay(o))
	} else {
		p.Pipeline = 1
		if p.Address.Serial() {
			// Opening a port waits for nothing; finding who has a busy one may take a while.
			p.ConnectTimeout = max(p.ConnectTimeout, openTimeout)
		}
		m.link = p.Link(tracing(p, o.Trace))
	}
	m.client = wire.NewClient(m.link)
	return m
}

// tracedRelay returns o's relay, with what passes told to o.Trace.
func tracedRelay(o Options) func(context.Context, byte, []byte) ([]byte, error) {
	if o.Trace == nil {
		return o.Relay
	}
	return func(ctx context.Context, unit byte, pdu []byte) ([]byte, error) {
		o.Trace(fmt.Sprintf("-> % x   unit %d, %s", pdu, unit, wire.Explain(pdu)))
		answer, err := o.Relay(ctx, unit, pdu)
		if err == nil && len(answer) > 0 {
			o.Trace(fmt.Sprintf("<- % x   unit %d, %s", answer, unit, wire.Explain(answer)))
		} else if err != nil {
			o.Trace("<- " + err.Error())
		}
		return answer, err
	}
}

// tracing returns p's Dial, with what passes told to tell, and who has a port that
// is busy.
func tracing(p wire.Place, tell func(string)) func(context.Context) (wire.Stream, error) {
	return func(ctx context.Context) (wire.Stream, error) {
		stream, err := p.Dial(ctx)
		if errors.Is(err, syscall.EBUSY) {
			if who := wire.Holders(p.Address.Host); who != nil {
				err = fmt.Errorf("%w: %s", err, strings.Join(who, " and "))
			}
		}
		if err != nil || tell == nil {
			return stream, err
		}
		return wire.Trace(stream, p.Address, tell), nil
	}
}

// Close ends the connection.
func (m *Master) Close() { m.link.Close() }

// Value is what a point was read as, and the bytes that it was made of.
type Value struct {
	Address int
	Value   bridge.Value
	Data    []byte
}

// Read reads count values that follow one another, the first at f's address.
// Each is asked for in as few requests as the specification allows. With an
// error it returns what it had read before.
func (m *Master) Read(ctx context.Context, unit int, f *point.Field, count int) ([]Value, error) {
	if f.WriteOnly() {
		return nil, errors.New("the point is never read (access: write)")
	}
	if count < 1 {
		return nil, errors.New("no values to read: give a count of 1 or more")
	}
	if f.Address+count*f.Words > 1<<16 {
		return nil, fmt.Errorf("%d values from %d on are beyond the table", count, f.Address)
	}
	var all []Value
	for most := mostOf(f.Table) / f.Words; len(all) < count; {
		at, n := f.Address+len(all)*f.Words, min(count-len(all), most)
		m.client.To(ctx, byte(unit), m.timeout)
		data, err := m.client.Read(f.Table, uint16(at), uint16(n*f.Words))
		if err != nil {
			return all, fmt.Errorf("read unit %d %s %d+%d: %w", unit, f.Table, at, n*f.Words, err)
		}
		data = slices.Clone(data)
		for i := range n {
			v := Value{Address: at + i*f.Words}
			if f.Table.Bits() {
				v.Value = point.Placed{Field: f, At: int32(i)}.Decode(data)
			} else {
				v.Data = data[2*i*f.Words : 2*(i+1)*f.Words]
				v.Value = f.Decode(v.Data)
			}
			all = append(all, v)
		}
	}
	return all, nil
}

// Raw sends any request PDU to a unit and returns the PDU of its answer. Where
// that is an exception it is the error, too, a [wire.ExceptionError].
func (m *Master) Raw(ctx context.Context, unit int, pdu []byte) ([]byte, error) {
	m.client.To(ctx, byte(unit), m.timeout)
	answer, err := m.client.Raw(pdu)
	if err != nil {
		return nil, fmt.Errorf("ask unit %d: %w", unit, err)
	}
	return answer, wire.Exception(answer)
}

// mostOf returns how many registers or bits of t one request may ask for.
func mostOf(t wire.Table) int {
	if t.Bits() {
		return point.MaxBits
	}
	return point.MaxWords
}

// Write sets one point that is writable, and finds out what became of it as its
// confirm says; way is auto, single or multiple. The error is what the unit or the
// line said, for [Advice].
func (m *Master) Write(ctx context.Context, unit int, f *point.Field, v bridge.Value, way string) (bridge.Written,
	error) {
	if err := MayWrite(f, v); err != nil {
		return bridge.NotWritten(bridge.Permanent(err)), nil
	}
	l := set.Line{Client: m.client, Way: way,
		Unit: wire.Unit{Name: fmt.Sprintf("unit %d", unit), ID: byte(unit), Timeout: m.timeout}}
	return write(ctx, l, f, v, plan.Alone(f), 0)
}

// write sets f, which is in its place. shows is the request that reads the point
// which is to show it, if any does, and i that point's place in it.
func write(ctx context.Context, l set.Line, f *point.Field, v bridge.Value, shows plan.Block, i int) (bridge.Written,
	error) {
	w, err := set.New(f, v)
	if err != nil {
		return bridge.NotWritten(err), nil
	}
	set.Several{w}.Send(ctx, l, func(f *point.Field) (plan.Block, int) { return plan.Alone(f), 0 })
	if set.Rises(f, v) && w.Sent() {
		off, err := fall(ctx, l, f)
		if err != nil {
			return bridge.Written{Text: "it is on, and its off is not taken: " + err.Error()}, err
		}
		if f.Writable.Shown == nil && w.Taken() {
			w = off
		}
	}
	for w.Open(time.Now()) {
		w.Look(ctx, l, shows, i)
		if w.Open(time.Now()) && !pause.Sleep(ctx, w.Pause()) {
			break
		}
	}
	return w.Written(), w.Err()
}

// offTries is how often the off of a pulse is tried.
const offTries = 3

// fall ends a pulse of f, at once if ctx ends.
func fall(ctx context.Context, l set.Line, f *point.Field) (off *set.Writing, err error) {
	pause.Sleep(ctx, f.Writable.Pulse)
	for range offTries {
		if off, err = set.New(f, bridge.Bool(false)); err != nil {
			return nil, err
		}
		set.Several{off}.Send(context.WithoutCancel(ctx), l, func(f *point.Field) (plan.Block, int) {
			return plan.Alone(f), 0
		})
		if off.Taken() {
			return off, nil
		}
	}
	return nil, off.Err()
}
