package modbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
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

// MasterOptions are how a [Master] reaches its bus.
type MasterOptions struct {
	// Relay, if not nil, sends requests over a line that someone else holds:
	// see [Source.Relay].
	Relay func(ctx context.Context, unit byte, pdu []byte) ([]byte, error)
	// Trace, if not nil, is told each frame in hexadecimal and what it means.
	Trace func(line string)
}

// NewMaster returns a master for b. It connects with the first request.
func NewMaster(b Bus, o MasterOptions) (*Master, error) {
	m := &Master{timeout: b.Timeout.D()}
	if o.Relay != nil {
		m.link = wire.NewRelay(tracedRelay(o))
	} else {
		f := finder{}
		f.bus(b)
		if err := first(f.problems); err != nil {
			return nil, err
		}
		r := resolve(Config{Buses: map[string]Bus{"": b}})
		for _, spec := range r.buses {
			spec.Pipeline = 1
			m.link = spec.Link(tracing(spec.Place, o.Trace))
		}
	}
	m.client = wire.NewClient(m.link)
	return m, nil
}

// tracedRelay returns o's relay, with what passes told to o.Trace.
func tracedRelay(o MasterOptions) func(context.Context, byte, []byte) ([]byte, error) {
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
		return wire.Trace(stream, p.Address.RTU(), tell), nil
	}
}

// first returns the first problem that is more than a warning.
func first(problems []setting.Problem) error {
	for _, p := range problems {
		if !p.Warning {
			return fmt.Errorf("%s: %s: %s", strings.Join(p.Path, "."), p.Text, p.Fix)
		}
	}
	return nil
}

// Close ends the connection.
func (m *Master) Close() { m.link.Close() }

// Value is what a point was read as, and the bytes that it was made of.
type Value struct {
	Address int
	Value   bridge.Value
	Data    []byte
}

// Read reads count values that follow one another, the first at p. Each is
// asked for in as few requests as the specification allows.
func (m *Master) Read(ctx context.Context, unit int, p Point, count int) ([]Value, error) {
	f, err := onePoint(p)
	if err != nil {
		return nil, err
	}
	if count < 1 {
		return nil, errors.New("no values to read: give a count of 1 or more")
	}
	if f.Address+count*f.Words > 1<<16 {
		return nil, fmt.Errorf("%d values from %d on are beyond the table", count, f.Address)
	}
	most := point.MaxWords
	if f.Table.Bits() {
		most = MaxBits
	}
	var all []Value
	for count > 0 {
		n := min(count, most/f.Words)
		m.client.To(ctx, byte(unit), m.timeout)
		data, err := m.client.Read(f.Table, uint16(f.Address), uint16(n*f.Words))
		if err != nil {
			return all, fmt.Errorf("read unit %d %s %d+%d: %w", unit, f.Table, f.Address, n*f.Words, err)
		}
		data = slices.Clone(data)
		for i := range n {
			v := Value{Address: f.Address + i*f.Words}
			if f.Table.Bits() {
				v.Value = point.Placed{Field: f, At: int32(i)}.Decode(data)
			} else {
				v.Data = data[2*i*f.Words : 2*(i+1)*f.Words]
				v.Value = f.Decode(v.Data)
			}
			all = append(all, v)
		}
		count -= n
		f.Address += n * f.Words
	}
	return all, nil
}

// Write sets one point, reads it back and compares; way is auto, single or
// multiple.
func (m *Master) Write(ctx context.Context, unit int, p Point, v bridge.Value, way string) error {
	if p.Writable == nil {
		p.Writable = &Writable{}
	}
	f, err := onePoint(p)
	if err != nil {
		return err
	}
	if err := f.Within(v); err != nil {
		return err
	}
	u := wire.Unit{Name: fmt.Sprintf("unit %d", unit), ID: byte(unit), Timeout: m.timeout}
	return wire.Plain(set.Point(ctx, m.client, u, way, f, v))
}

// Words returns how many registers a value of p takes; 1 of a coil or discrete
// input.
func Words(p Point) (int, error) {
	f, err := onePoint(p)
	if err != nil {
		return 0, err
	}
	return f.Words, nil
}

// onePoint resolves a point that is in no device.
func onePoint(p Point) (*point.Field, error) {
	var d Device
	d.SetDefaults()
	f := finder{}
	d.Points = map[string]Point{"value": p}
	r := f.point("value", point.Copy{}, d)
	if p.ScalePoint != "" {
		return nil, errors.New("a scale point is read with its device only")
	}
	return r, first(f.problems)
}
