// Package byhand is what a person asks devices for at a command line, and what is
// printed of it: by address and by the words of a file, over a line of our own or
// that of a running gateway. It knows no flags; data goes to one writer, all else
// to another.
package byhand

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/gateway/control"
	"fieldbridge/plain"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/commission"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/wire"
)

// Desk is how devices are asked, and where what they say is printed.
type Desk struct {
	Bus     setup.Bus // how a line is set, but for where it is
	Unit    int
	Timeout time.Duration
	Via     string // the queue of a running gateway whose line is used; "" is a line of our own
	Trace   bool   // each frame is told
	JSON    bool   // data is for programs

	Ask io.Reader // who is asked before something is written; nil is nobody

	Data, People io.Writer
}

// Misuse is a mistake of who asks, so that nothing was sent.
type Misuse struct {
	error
	File bool // it is in a file, and says where
}

func (m Misuse) Unwrap() error { return m.error }

// misuse makes err a mistake of who asks.
func misuse(err error) error { return Misuse{error: err} }

// master returns a master for the bus at url.
func (d *Desk) master(url string) (*commission.Master, error) {
	if d.Unit < 0 || d.Unit > 255 {
		return nil, fmt.Errorf("unit %d: ids are 0 to 255, mostly 1 to 247", d.Unit)
	}
	if d.Via != "" {
		return commission.Open(wire.Place{}, d.Timeout, d.options(d.Via, url)), nil
	}
	place, err := d.place(url)
	if err != nil {
		return nil, err
	}
	return commission.Open(place, d.Timeout, d.options("", url)), nil
}

// place returns where the bus at url is, and how it is reached.
func (d *Desk) place(url string) (wire.Place, error) {
	d.Bus.URL, d.Bus.Timeout = url, setting.Duration(d.Timeout)
	place, err := d.Bus.Place()
	if err != nil {
		return place, fmt.Errorf("bus %w", err)
	}
	return place, nil
}

// options say how a bus is asked: over the line of the gateway whose queue is in
// dir, if any.
func (d *Desk) options(dir, bus string) (o commission.Options) {
	if dir != "" {
		o.Relay = control.Over(dir, bus)
	}
	if d.Trace {
		o.Trace = func(line string) { fmt.Fprintln(d.People, line) }
	}
	return o
}

// advised adds to an error of asking the bus at url what to do about it.
func advised(err error, url string) error {
	if advice := commission.Advice(err, url); advice != "" {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return err
}

// again does it once, or each so often until ctx ends.
func (d *Desk) again(ctx context.Context, every time.Duration, once func() error) error {
	if every <= 0 {
		return once()
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if !d.JSON {
			fmt.Fprintln(d.Data, time.Now().Format("-- 15:04:05"))
		}
		err := once()
		var misused Misuse
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &misused):
			return err
		case err != nil:
			fmt.Fprintln(d.People, plain.Text(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// PointAt makes the point at an address.
type PointAt func(address string) (setup.Point, error)

// Read reads count values from an address of the bus at url on, or a range of
// addresses; every 0 is once, else it does so until ctx ends.
func (d *Desk) Read(ctx context.Context, url, address string, count int, point PointAt, every time.Duration) error {
	last := -1
	if first, end, ok := strings.Cut(address, "-"); ok {
		var err error
		if last, err = strconv.Atoi(end); err != nil || count != 1 {
			return misuse(fmt.Errorf("%q is not a range: write holding:0-9, or --count", address))
		}
		address = first
	}
	p, err := point(address)
	if err == nil && last >= 0 {
		count, err = valuesTo(p, address, last)
	}
	if err != nil {
		return misuse(err)
	}
	m, err := d.master(url)
	if err != nil {
		return misuse(err)
	}
	defer m.Close()
	field, err := p.Field()
	if err != nil {
		return misuse(err)
	}
	return d.again(ctx, every, func() error {
		if err := d.readOnce(ctx, m, field, count); err != nil {
			return advised(err, url)
		}
		return nil
	})
}

// readOnce reads count values and prints what could be read.
func (d *Desk) readOnce(ctx context.Context, m *commission.Master, field *point.Field, count int) error {
	values, err := m.Read(ctx, d.Unit, field, count)
	if d.JSON {
		out := []map[string]any{}
		for _, v := range values {
			out = append(out, map[string]any{"address": v.Address, "value": jsonValue(v.Value)})
		}
		if err := words.JSON(d.Data, out); err != nil {
			return err
		}
	} else {
		for _, v := range values {
			fmt.Fprintf(d.Data, "%d\t%v\n", v.Address, v.Value)
		}
	}
	return err
}

// valuesTo returns how many values like p there are from address to last, which
// is the last register and counts as address does.
func valuesTo(p setup.Point, address string, last int) (int, error) {
	f, err := p.Field()
	if err != nil {
		return 0, err
	}
	words := f.Words // 1 of a coil or discrete input
	base := 10       // a reference, with its leading zeros
	if _, number, ok := strings.Cut(address, ":"); ok {
		address, base = number, 0
	}
	first, err := strconv.ParseInt(address, base, 32)
	if n := (last - int(first) + 1) / words; err == nil && n > 0 {
		return n, nil
	}
	return 0, fmt.Errorf("%s to %d has no room for a value of %d registers", address, last, words)
}

// jsonValue returns v as JSON has it; a bad value is null.
func jsonValue(v bridge.Value) any {
	switch v.Kind() {
	case bridge.KindBad:
		return nil
	case bridge.KindString:
		return v.Str()
	}
	return json.RawMessage(v.AppendNumber(nil))
}

// Write writes a value to a point of the bus at url.
func (d *Desk) Write(ctx context.Context, url string, p setup.Point, text, way string) error {
	only := p
	only.Writable = nil
	if table, at, err := only.Place(); err == nil && (table == "input" || table == "discrete") {
		return misuse(fmt.Errorf("%s %d cannot be written: only coils and holding registers can", table, at))
	}
	m, err := d.master(url)
	if err != nil {
		return misuse(err)
	}
	defer m.Close()
	field, err := p.Field()
	if err != nil {
		return misuse(err)
	}
	value := setup.ParseValue(text)
	if err := confirm(d, fmt.Sprintf("%s %d of unit %d on %s", field.Table, field.Address, d.Unit, url), value.String(),
		func() (string, error) {
			values, err := m.Read(ctx, d.Unit, field, 1)
			if err != nil {
				return "", err
			}
			return values[0].Value.String(), nil
		}); err != nil {
		return err
	}
	is, why := m.Write(ctx, d.Unit, field, value, way)
	return d.outcome(is, commission.Advice(why, url))
}
