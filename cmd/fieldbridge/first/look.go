package first

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"fieldbridge/cmd/fieldbridge/byhand"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/gateway/control"
	"fieldbridge/plain"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/commission"
)

// Line finds the settings of a serial line by asking the units first to last, and
// sets them; out is told. It reports whether a unit answered.
func (s *Starter) Line(ctx context.Context, first, last int, out io.Writer) (bool, error) {
	place, err := s.Bus.Place()
	if err != nil {
		return false, err
	}
	if dir, _ := control.Holding(ctx, s.Bus.URL); dir != "" {
		return false, fmt.Errorf("a running gateway holds the line (queue %s), and its file says how it is set: give that "+
			"speed and parity, or stop it", dir)
	}
	ask, done := commission.LineAsker(place, commission.ScanTimeout, commission.Options{})
	defer done()
	terminal := words.Terminal(out)
	search := commission.LineScan{Settings: commission.CommonLines(place.Address.ASCII()), First: first, Last: last,
		Ask: ask, Step: func(l commission.LineStep) {
			if terminal {
				fmt.Fprintf(out, "\r  %v, unit %d, %d of %d asked   ", l.LineSettings, l.Unit, l.Done, l.All)
			}
		}}
	found, ok, _, err := search.Run(ctx)
	if terminal {
		fmt.Fprint(out, "\r\x1b[K") // erase the line (ECMA-48, 8.3.41)
	}
	if err != nil {
		return false, advised(err, s.Bus.URL)
	}
	if !ok {
		return false, nil
	}
	s.Bus.Baud, s.Bus.Parity, s.Bus.StopBits = found.Baud, string(found.Parity), found.StopBits
	if found.DataBits != 8 || place.Address.ASCII() {
		s.Bus.DataBits = found.DataBits
	}
	fmt.Fprintf(out, "unit %d answers at %v\n", found.Unit, found.LineSettings)
	return true, nil
}

// Scan asks the units first to last of the bus who they are; out is told of each
// that answers.
func (s *Starter) Scan(ctx context.Context, first, last int, out io.Writer) ([]byhand.Unit, error) {
	s.Bus.Timeout = setting.Duration(time.Second)
	place, err := s.Bus.Place()
	if err != nil {
		return nil, err
	}
	var o commission.Options
	if dir, bus := control.Holding(ctx, s.Bus.URL); dir != "" {
		fmt.Fprintf(out, "%s is asked through the gateway that holds it, with its settings (queue %s)\n", bus, dir)
		o.Relay = control.Over(dir, bus)
	}
	m := commission.Open(place, commission.ScanTimeout, o)
	defer m.Close()
	var all []byhand.Unit
	terminal := words.Terminal(out)
	err = m.ScanUnits(ctx, first, last, func(unit int) {
		if terminal {
			fmt.Fprintf(out, "\r\x1b[K  asking unit %d of %d to %d", unit, first, last)
		}
	}, func(f commission.Found) {
		if !f.Speaks() {
			return
		}
		u, text := byhand.Recognise(f)
		all = append(all, u)
		if terminal {
			fmt.Fprint(out, "\r\x1b[K")
		}
		fmt.Fprintln(out, text)
	})
	if terminal {
		fmt.Fprint(out, "\r\x1b[K")
	}
	if err != nil {
		return all, advised(err, s.Bus.URL)
	}
	return all, nil
}

// Take makes devices of units. profile is that of each for which none is known, or
// of all if it is not "".
func (s *Starter) Take(units []byhand.Unit, profile string) {
	for _, u := range units {
		d := Device{Name: fmt.Sprintf("device-%d", u.Unit), Unit: u.Unit, Profile: profile}
		if profile == "" && len(u.Profiles) > 0 {
			d.Profile = u.Profiles[0]
		}
		s.Devices = append(s.Devices, d)
	}
}

// advised adds to an error what to do about it.
func advised(err error, url string) error {
	if advice := commission.AdviceOnFile(err, url); advice != "" {
		err = fmt.Errorf("%w: %s", err, advice)
	}
	return errors.New(plain.Text(err))
}
