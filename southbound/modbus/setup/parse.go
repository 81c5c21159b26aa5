package setup

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// ParseAddress reads what people call an address on a command line: a table and
// the zero-based wire address (holding:100, or h:100), or a reference as manuals
// print it (40101).
func ParseAddress(s string) (Point, error) {
	table, number, ok := strings.Cut(s, ":")
	if !ok {
		if _, _, err := wire.ParseRef(s); err != nil {
			return Point{}, fmt.Errorf("%q is not an address: "+
				"write holding:100, input:0, coil:3, discrete:7 or a reference as 40101", s)
		}
		return Point{Ref: Ref(s)}, nil
	}
	n, err := strconv.ParseUint(number, 0, 16)
	if octal := len(number) > 1 && number[0] == '0' && number[1] >= '0' && number[1] <= '9'; octal || err != nil {
		return Point{}, fmt.Errorf("%q is not an address from 0 to 65535", number)
	}
	address := int(n)
	for t := wire.Coil; t <= wire.Holding; t++ {
		if table == t.String() || table == t.String()[:1] {
			return [...]Point{{Coil: &address}, {Discrete: &address}, {Input: &address}, {Holding: &address}}[t], nil
		}
	}
	return Point{}, fmt.Errorf("%q is not a table: %s", table,
		suggest(table, []string{"coil", "discrete", "input", "holding"}))
}

// Place returns the table and the zero-based wire address of a point.
func (p Point) Place() (table string, address int, err error) {
	f, err := p.Field()
	if err != nil {
		return "", 0, err
	}
	return f.Table.String(), f.Address, nil
}

// Field resolves a point that is in no device.
func (p Point) Field() (*point.Field, error) {
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

// Place returns where b is and how it is reached, or the first thing that is
// wrong with b.
func (b Bus) Place() (wire.Place, error) {
	f := finder{}
	f.bus(b)
	if err := first(f.problems); err != nil {
		return wire.Place{}, err
	}
	r := Resolve(Config{Buses: map[string]Bus{"": b}})
	for _, spec := range r.Buses {
		return spec.Place, nil
	}
	return wire.Place{}, nil // cannot be: a valid bus is one
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
