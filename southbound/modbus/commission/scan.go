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
	Unit int `json:"unit"`
	// Answer is what it said to a read of its first holding register.
	Answer
	Identity
}

// String says it for people, on several lines where it says much of itself.
func (f Found) String() string {
	s := fmt.Sprintf("unit %d: %v", f.Unit, f.Answer)
	if basic := f.basic(); basic != nil {
		s += " (" + strings.Join(basic, ", ") + ")"
	}
	return strings.Join(append([]string{s}, f.more()...), "\n    ")
}

// ScanUnits asks the units first to last, and tells found of those that answer,
// in any way. progress is told each unit before it is asked. It ends early with
// ctx, or when the bus cannot be reached at all.
func (m *Master) ScanUnits(ctx context.Context, first, last int, progress func(unit int), found func(Found)) error {
	for unit := first; unit <= last; unit++ {
		progress(unit)
		f, err := m.Look(ctx, unit)
		if err != nil {
			return err
		}
		if f.Presence != Absent {
			found(f)
		}
	}
	return nil
}

// Look asks whether a unit answers and, if it does, who it is. Its error is that
// there is no bus to ask, or that ctx is over.
func (m *Master) Look(ctx context.Context, unit int) (Found, error) {
	answer, err := m.look(ctx, unit)
	f := Found{Unit: unit, Answer: answer}
	if err == nil && answer.Speaks() {
		f.Identity = m.identify(ctx, unit)
		err = ctx.Err()
	}
	return f, err
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

// MarshalText writes it for programs: absent, noise, exception or value.
func (p Presence) MarshalText() ([]byte, error) {
	return []byte([...]string{"absent", "noise", "exception", "value"}[p]), nil
}

// Answer is what came back from a unit.
type Answer struct {
	Presence  Presence `json:"answer"`
	Exception byte     `json:"exception"`       // its code, if Excepting
	Noise     string   `json:"noise,omitempty"` // what breaks the protocol, if Noise
}

// Speaks reports whether a unit answered by the protocol.
func (a Answer) Speaks() bool { return a.Presence >= Excepting }

// String says it for people.
func (a Answer) String() string {
	switch a.Presence {
	case Noise:
		return "something answers, but not by the protocol: " + a.Noise
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
		return Answer{Presence: Noise, Noise: err.Error()}, nil
	}
	return Answer{}, nil
}

// Run are some addresses that a unit answers.
type Run struct {
	First, End int
	// Bytes is how long the answer for the one register is, where that is not two.
	Bytes int
}

// Bounds of what a scan of addresses bears in a row before it ends: silence of a
// unit that gave no answer yet, and of one that did; that it lacks the function.
const (
	mostMute    = 3
	mostSilent  = 64
	mostLacking = 8
)

// ScanAddresses finds which addresses of a table a unit answers, from first to
// last, and tells found each run of them, in order. progress is told the address
// that it has come to. A unit that answers no more ends it.
func (m *Master) ScanAddresses(ctx context.Context, unit int, table string, first, last int, progress func(int),
	found func(Run)) error {
	t, err := parseTable(table)
	if err != nil {
		return err
	}
	// Runs that answer are read in ever longer pieces; where nothing answers,
	// each address has to be asked for.
	run := Run{First: first, End: first}
	tell := func() {
		if run.End > run.First {
			found(run)
		}
		run = Run{}
	}
	defer func() { tell() }() // what was found is not lost by what comes after
	heard, silent, lacking := false, 0, 0
	for at, n := first, 1; at <= last; {
		progress(at)
		n = min(n, last+1-at)
		is, err := m.answers(ctx, byte(unit), t, point.Span{First: at, End: at + n})
		var odd *wire.SizeError
		switch {
		case is == fails:
			return err
		case is == values:
			if run.End != at {
				tell()
				run.First = at
			}
			at += n
			run.End = at
			n = min(2*n, mostOf(t))
			heard, silent = true, 0
			continue
		case n > 1:
			n /= 2
			continue
		case errors.As(err, &odd) && !t.Bits() && odd.Got > 0:
			tell()
			found(Run{at, at + 1, odd.Got})
			heard, silent = true, 0
		case is == nothing:
			if silent++; silent >= mostSilent || !heard && silent >= mostMute {
				return err
			}
		case is == lacks:
			if lacking++; !heard && lacking >= mostLacking {
				return err
			}
		default:
			heard, silent = true, 0
		}
		at++
	}
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

// reply is what a unit makes of a read.
type reply uint8

const (
	values reply = iota
	refuses
	lacks   // it says that it lacks the function
	nothing // no answer, or none by the protocol
	fails   // there is nobody to ask
)

// answers asks what a unit answers to a read of s, with the error for people.
func (m *Master) answers(ctx context.Context, unit byte, t wire.Table, s point.Span) (reply, error) {
	m.client.To(ctx, unit, m.timeout)
	_, err := m.client.Read(t, uint16(s.First), uint16(s.End-s.First))
	switch {
	case ctx.Err() != nil:
		return fails, ctx.Err()
	case err == nil:
		return values, nil
	case errors.As(err, new(*wire.ConnectError)):
		return fails, err
	}
	if _, answered := wire.Reason(err); !answered {
		return nothing, fmt.Errorf("%s %d+%d: %w", t, s.First, s.End-s.First, err)
	}
	if code, _ := wire.ExceptionCode(err); code == 1 {
		return lacks, fmt.Errorf("the unit has no table %s: %w", t, err)
	}
	return refuses, nil
}

// ScanTimeout is long enough for nearly every unit that is there.
const ScanTimeout = 300 * time.Millisecond
