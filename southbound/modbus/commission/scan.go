package commission

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// Found is a unit that a scan found.
type Found struct {
	Unit int
	// Answer is what it said to a read of its first holding register.
	Answer Answer
	// Identification is its vendor, product code and revision, if it knows
	// function 43/14.
	Identification []string
}

// String says it for people.
func (f Found) String() string {
	s := fmt.Sprintf("unit %d: %v", f.Unit, f.Answer)
	if f.Identification != nil {
		s += " (" + strings.Join(f.Identification, ", ") + ")"
	}
	return s
}

// ScanUnits asks the units first to last, and tells found of those that answer,
// in any way. progress is told each unit before it is asked. It ends early with
// ctx, or when the bus cannot be reached at all.
func (m *Master) ScanUnits(ctx context.Context, first, last int, progress func(unit int), found func(Found)) error {
	for unit := first; unit <= last; unit++ {
		progress(unit)
		answer, err := m.look(ctx, unit)
		if err != nil {
			return err
		}
		if answer.Presence == Absent {
			continue
		}
		f := Found{Unit: unit, Answer: answer}
		if id, err := m.client.Identify(); err == nil {
			for _, o := range id {
				f.Identification = append(f.Identification, o.Text)
			}
		}
		found(f)
	}
	return nil
}

// Presence is what a scan found of a unit.
type Presence uint8

// What a unit is to a scan.
const (
	Absent    Presence = iota
	Noise              // something answers, but not by the protocol
	Excepting          // it answers with an exception
	Reading            // it has holding register 0
)

// Answer is what came back from a unit.
type Answer struct {
	Presence  Presence
	Exception byte  // its code, if Excepting
	Err       error // what breaks the protocol, if Noise
}

// Speaks reports whether a unit answered by the protocol.
func (a Answer) Speaks() bool { return a.Presence >= Excepting }

// String says it for people.
func (a Answer) String() string {
	switch a.Presence {
	case Noise:
		return "something answers, but not by the protocol: " + a.Err.Error()
	case Excepting:
		return fmt.Sprintf("it answers with exception %d", a.Exception)
	case Reading:
		return "it has holding 0"
	}
	return "no answer"
}

// look asks whether a unit answers. Its error is that there is no bus to ask, or
// that ctx is over.
func (m *Master) look(ctx context.Context, unit int) (Answer, error) {
	m.client.To(ctx, byte(unit), m.timeout)
	_, err := m.client.Read(wire.Holding, 0, 1)
	if ctx.Err() != nil {
		return Answer{}, ctx.Err()
	}
	if err == nil {
		return Answer{Presence: Reading}, nil
	}
	var (
		connect  *wire.ConnectError
		protocol *wire.ProtocolError
	)
	if errors.As(err, &connect) {
		return Answer{}, err
	}
	if _, answered := wire.Reason(err); answered {
		code, _ := wire.ExceptionCode(err)
		return Answer{Presence: Excepting, Exception: code}, nil
	}
	if errors.As(err, &protocol) {
		return Answer{Presence: Noise, Err: err}, nil
	}
	return Answer{}, nil
}

// LineSettings are those of a serial line that a scan tries.
type LineSettings struct {
	Baud     int
	Parity   wire.Parity
	StopBits int
}

// String writes them as 9600 8E1.
func (l LineSettings) String() string {
	return fmt.Sprintf("%d 8%c%d", l.Baud, strings.ToUpper(string(l.Parity))[0], l.StopBits)
}

// CommonLines are the settings that devices come with, the most frequent first.
func CommonLines() []LineSettings {
	var all []LineSettings
	for _, baud := range []int{9600, 19200, 38400, 115200, 57600, 4800, 2400, 1200} {
		all = append(all, LineSettings{baud, wire.NoParity, 1}, LineSettings{baud, wire.EvenParity, 1},
			LineSettings{baud, wire.NoParity, 2},
			LineSettings{baud, wire.OddParity, 1})
	}
	return all
}

// ScanLine tries settings of the serial line at p, and on each the units first to
// last, until a unit answers within timeout; it returns those settings, and false
// if none does.
func ScanLine(ctx context.Context, p wire.Place, timeout time.Duration, o Options, settings []LineSettings,
	first, last int, progress func(LineSettings, int)) (LineSettings, int, bool, error) {
	for _, s := range settings {
		p.Serial.Baud, p.Serial.Parity, p.Serial.StopBits = s.Baud, s.Parity, s.StopBits
		unit, err := scanSetting(ctx, Open(p, timeout, o), first, last, func(unit int) { progress(s, unit) })
		if err != nil || unit >= 0 {
			return s, unit, unit >= 0, err
		}
	}
	return LineSettings{}, 0, false, nil
}

// scanSetting returns the first unit that answers by the protocol, -1 if none,
// and closes m.
func scanSetting(ctx context.Context, m *Master, first, last int, progress func(int)) (int, error) {
	defer m.Close()
	for unit := first; unit <= last; unit++ {
		progress(unit)
		answer, err := m.look(ctx, unit)
		if err != nil {
			return -1, err
		}
		if answer.Speaks() { // at a wrong speed there is noise
			return unit, nil
		}
	}
	return -1, nil
}

// ScanAddresses finds which addresses of a table a unit answers, from first to
// last, and tells found each run of them, in order. progress is told the address
// that it has come to. A unit that answers no more ends it.
func (m *Master) ScanAddresses(ctx context.Context, unit int, table string, first, last int, progress func(int),
	found func(first, end int)) error {
	t, err := parseTable(table)
	if err != nil {
		return err
	}
	// Runs that answer are read in ever longer pieces; where nothing answers,
	// each address has to be asked for.
	run := point.Span{First: first, End: first}
	tell := func() {
		if run.End > run.First {
			found(run.First, run.End)
		}
	}
	for at, n := first, 1; at <= last; {
		progress(at)
		n = min(n, last+1-at)
		ok, err := m.answers(ctx, byte(unit), t, point.Span{First: at, End: at + n})
		switch {
		case err != nil:
			return err
		case ok:
			if run.End != at {
				tell()
				run.First = at
			}
			at += n
			run.End = at
			n = min(2*n, mostOf(t))
		case n > 1:
			n /= 2
		default:
			at++
		}
	}
	tell()
	return nil
}

// tables are the words for them.
var tables = []string{"coil", "discrete", "input", "holding"}

func parseTable(name string) (wire.Table, error) {
	for t := wire.Coil; t <= wire.Holding; t++ {
		if t.String() == name {
			return t, nil
		}
	}
	return 0, fmt.Errorf("%q is not a table: %s", name,
		setting.Meant(name, tables, "use one of "+strings.Join(tables, ", ")))
}

// answers reports whether a unit answers a read of s with values.
func (m *Master) answers(ctx context.Context, unit byte, t wire.Table, s point.Span) (bool, error) {
	m.client.To(ctx, unit, m.timeout)
	_, err := m.client.Read(t, uint16(s.First), uint16(s.End-s.First))
	if err == nil || ctx.Err() != nil {
		return err == nil, ctx.Err()
	}
	if _, answered := wire.Reason(err); !answered {
		return false, fmt.Errorf("%s %d+%d: %w", t, s.First, s.End-s.First, err)
	}
	if code, _ := wire.ExceptionCode(err); code == 1 {
		return false, fmt.Errorf("the unit has no table %s: %w", t, err)
	}
	return false, nil
}

// ScanTimeout is long enough for nearly every unit that is there.
const ScanTimeout = 300 * time.Millisecond
