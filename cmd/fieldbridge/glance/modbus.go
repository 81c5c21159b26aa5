package glance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/byhand"
	"fieldbridge/cmd/fieldbridge/paint"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/gateway/control"
	"fieldbridge/plain"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/modbus/commission"
	"fieldbridge/southbound/modbus/wire"
)

// device is a Modbus device as it was read.
type device struct {
	Device string         `json:"device"`
	Bus    string         `json:"bus"`
	Unit   int            `json:"unit_id"`
	At     time.Time      `json:"at,omitzero"`
	Took   float64        `json:"took_ms"`
	Error  string         `json:"error,omitempty"` // why nothing of it was read, and what to do
	Points []byhand.Point `json:"points,omitempty"`
	Unread []string       `json:"not_polled,omitempty"` // points that are read on demand or never
}

func (d *device) bad() int {
	n := 0
	for _, p := range d.Points {
		if p.Bad != "" {
			n++
		}
	}
	return n
}

// asked is a device to be read, and its place in the list.
type asked struct {
	commission.Device
	at int
}

// devices reads each device once: buses side by side, the units of one after the
// other. They are printed in their order, as soon as they are known.
func (g *Glance) devices(ctx context.Context, status control.Status, dir string) []device {
	cfg := g.Config.Southbound.Modbus
	names := slices.Sorted(maps.Keys(cfg.Devices))
	all := make([]device, len(names))
	done := make([]chan struct{}, len(names)) // each is closed when its device is known
	for i := range done {
		done[i] = make(chan struct{})
	}
	buses := make(map[string][]asked)
	for i, name := range names {
		d, bus, err := modbus.ByHand(cfg, name)
		all[i] = device{Device: name, Bus: bus, Unit: int(d.ID)}
		if err != nil {
			all[i].Error = err.Error()
			close(done[i]) // nobody asks it
			continue
		}
		for _, f := range d.Others {
			all[i].Unread = append(all[i].Unread, f.Name)
		}
		buses[bus] = append(buses[bus], asked{d, i})
	}
	held := func(bus string) bool {
		return dir != "" && slices.ContainsFunc(status.Buses, func(b bridge.BusStatus) bool { return b.Address == bus })
	}
	var reading sync.WaitGroup
	for bus, devices := range buses {
		var o commission.Options
		if held(bus) {
			o.Relay = control.Over(dir, bus)
		} else if other, as := control.Holding(ctx, bus); other != "" {
			fmt.Fprintf(g.People, "%s is asked through the gateway that holds it (queue %s)\n", bus, other)
			o.Relay = control.Over(other, as)
		}
		reading.Go(func() { readBus(ctx, bus, devices, o, all, done) })
	}
	for i := range all {
		<-done[i]
		if !g.JSON && ctx.Err() == nil {
			all[i].print(g.Data)
		}
	}
	reading.Wait()
	return all
}

// readBus reads the devices of a bus into their places, and closes done of each.
func readBus(ctx context.Context, bus string, devices []asked, o commission.Options, all []device,
	done []chan struct{}) {
	var down error // there is no connection: the others need not wait for it again
	for _, d := range devices {
		out := &all[d.at]
		var points []commission.Point
		err := down
		if begin := time.Now(); err == nil {
			m := commission.Open(d.Place, d.Timeout, o)
			points, err = m.ReadPoints(ctx, d.Device, d.Fields)
			m.Close()
			out.At, out.Took = begin, float64(time.Since(begin).Microseconds())/1e3
		}
		var connect *wire.ConnectError
		if err != nil {
			out.Error = advised(err, bus)
			if errors.As(err, &connect) {
				down = connect // what was to be read of this device is nothing to the others
			}
		}
		for _, p := range points {
			told := byhand.Told(p)
			if p.Err != nil {
				told.Error = advised(p.Err, bus)
			}
			out.Points = append(out.Points, told)
		}
		close(done[d.at])
	}
}

// advised adds to an error what to do about it.
func advised(err error, bus string) string {
	if advice := commission.AdviceOnFile(err, bus); advice != "" {
		err = fmt.Errorf("%w: %s", err, advice)
	}
	return plain.Text(err)
}

// print shows a device: a line for each point.
func (d *device) print(w io.Writer) {
	fmt.Fprintf(w, "%s: unit %d on %s", d.Device, d.Unit, d.Bus)
	if d.Error != "" {
		fmt.Fprintf(w, "\n  %s\n\n", paint.Bad(w, d.Error))
		return
	}
	fmt.Fprintf(w, ", read at %s in %s\n", d.At.Format("15:04:05"), words.Millis(d.Took))
	t := words.NewColumns(w)
	for _, p := range d.Points {
		text := p.Text
		if p.Bad != "" {
			text = paint.Bad(w, text)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s %d", p.Point, text, p.Unit, p.Table, p.Address)
		if p.Raw != "" {
			fmt.Fprintf(t, "\t%s", p.Raw)
		}
		fmt.Fprintln(t)
		if p.Error != "" {
			fmt.Fprintf(t, "  \t^ %s\n", p.Error)
		}
		if p.Hint != "" {
			fmt.Fprintf(t, "  \t^ %s\n", p.Hint)
		}
	}
	_ = t.Flush()
	if d.Unread != nil {
		fmt.Fprintf(w, "  not polled, so not read here: %s\n", strings.Join(d.Unread, ", "))
	}
	fmt.Fprintln(w)
}
