package commission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"fieldbridge/bridge"
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

// tracing returns p's Dial, with what passes told to tell.
func tracing(p wire.Place, tell func(string)) func(context.Context) (wire.Stream, error) {
	if tell == nil {
		return p.Dial
	}
	return func(ctx context.Context) (wire.Stream, error) {
		stream, err := p.Dial(ctx)
		if err != nil {
			return nil, err
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

// mostOf returns how many registers or bits of t one request may ask for.
func mostOf(t wire.Table) int {
	if t.Bits() {
		return point.MaxBits
	}
	return point.MaxWords
}

// Write sets one point that is writable, reads it back and compares; way is
// auto, single or multiple.
func (m *Master) Write(ctx context.Context, unit int, f *point.Field, v bridge.Value, way string) error {
	if f.Writable == nil {
		return errors.New("the point is not writable")
	}
	if err := f.Within(v); err != nil {
		return err
	}
	u := wire.Unit{Name: fmt.Sprintf("unit %d", unit), ID: byte(unit), Timeout: m.timeout}
	return wire.Plain(set.Point(ctx, m.client, u, way, f, v))
}
