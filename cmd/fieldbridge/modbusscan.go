package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/commission"
)

// scan is what a scan is asked for.
type scan struct {
	units, addresses string // ranges, as they are given
	line, sunSpec    bool
}

func modbusScanCommand() *cobra.Command {
	c := newCommand("scan URL [flags]", "which units answer, and what they are, or which settings and addresses", 1)
	f := newModbusFlags(c, commission.ScanTimeout)
	var what scan
	f.StringVar(&what.units, "units", "1-247", "the `FIRST-LAST` unit ids to ask")
	f.BoolVar(&what.line, "line", false, "try the usual baud rates and parities of a serial line")
	f.StringVar(&what.addresses, "addresses", "", "find which addresses --unit answers: `TABLE:FIRST-LAST`")
	f.BoolVar(&what.sunSpec, "sunspec", false, "walk the list of models of --unit")
	return f.does(c, 1, func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		return f.scan(ctx, args[0], what, stdout, stderr)
	})
}

func (f *modbusFlags) scan(ctx context.Context, url string, what scan, stdout, stderr io.Writer) error {
	first, last, err := parseRange(what.units, 0, 255)
	if err != nil {
		return misuse(fmt.Errorf("units: %w", err))
	}
	s := scanning{f: f, out: stdout, progress: newProgress(stderr)}
	defer s.progress.clear()
	switch {
	case what.line:
		err = s.line(ctx, url, first, last)
	case what.sunSpec:
		err = s.sunSpec(ctx, url)
	case what.addresses != "":
		err = s.addresses(ctx, url, what.addresses)
	default:
		err = s.units(ctx, url, first, last)
	}
	s.progress.clear()
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "stopped")
		return exit(exitFailed)
	}
	if err != nil {
		return advised(err, url)
	}
	if s.found == 0 {
		fmt.Fprintln(stderr, "nothing answered: check the wiring, the polarity and the termination, or try a longer "+
			"--timeout")
		return exit(exitFailed)
	}
	return nil
}

// scanning is a scan under way.
type scanning struct {
	f        *modbusFlags
	out      io.Writer
	progress *progress
	found    int
}

func (s *scanning) tell(format string, args ...any) {
	s.found++
	s.progress.clear()
	fmt.Fprintf(s.out, format+"\n", args...)
}

func (s *scanning) units(ctx context.Context, url string, first, last int) error {
	m, err := s.f.master(ctx, url)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.ScanUnits(ctx, first, last,
		func(unit int) { s.progress.show("unit %d of %d to %d, %d found", unit, first, last, s.found) },
		func(f commission.Found) { s.tell("%v", f) })
}

func (s *scanning) sunSpec(ctx context.Context, url string) error {
	m, err := s.f.master(ctx, url)
	if err != nil {
		return err
	}
	defer m.Close()
	models, err := m.SunSpec(ctx, s.f.unit)
	for _, model := range models {
		s.tell("%v", model)
	}
	return err
}

func (s *scanning) line(ctx context.Context, url string, first, last int) error {
	if !strings.HasPrefix(url, "rtu:") {
		return errors.New("--line is for rtu:// serial ports")
	}
	o, err := s.f.options(ctx, url)
	if err != nil {
		return err
	}
	b := s.f.bus
	b.URL, b.Timeout = url, setting.Duration(s.f.timeout)
	place, err := b.Place()
	if err != nil {
		return err
	}
	ask, done := commission.LineAsker(place, s.f.timeout, o)
	defer done()
	search := commission.LineScan{Settings: commission.CommonLines(place.Address.ASCII()), First: first, Last: last,
		Ask: ask,
		Step: func(l commission.LineStep) {
			s.progress.show("%v, unit %d of %d to %d", l.LineSettings, l.Unit, first, last)
		}}
	found, ok, _, err := search.Run(ctx)
	if ok {
		s.tell("unit %d answers at %v: baud: %d, parity: %s, stop_bits: %d", found.Unit, found.LineSettings, found.Baud,
			found.Parity, found.StopBits)
	}
	return err
}

func (s *scanning) addresses(ctx context.Context, url, what string) error {
	table, span, _ := strings.Cut(what, ":")
	first, last, err := parseRange(span, 0, 65535)
	if err != nil {
		return fmt.Errorf("addresses: %w", err)
	}
	m, err := s.f.master(ctx, url)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.ScanAddresses(ctx, s.f.unit, table, first, last,
		func(at int) { s.progress.show("%s %d of %d to %d", table, at, first, last) },
		func(first, end int) { s.tell("%s %d to %d answer (%d)", table, first, end-1, end-first) })
}

// parseRange reads FIRST-LAST, or one number.
func parseRange(s string, least, most int) (first, last int, err error) {
	a, b, both := strings.Cut(s, "-")
	if !both {
		b = a
	}
	first, err1 := strconv.Atoi(a)
	last, err2 := strconv.Atoi(b)
	if err1 != nil || err2 != nil || first < least || last > most || first > last {
		return 0, 0, fmt.Errorf("%q: write FIRST-LAST, from %d to %d", s, least, most)
	}
	return first, last, nil
}

// progress is a line on a terminal that is written over. Elsewhere it is
// nothing.
type progress struct {
	w     io.Writer // nil is nothing
	shown int       // width of the line
}

func newProgress(w io.Writer) *progress {
	if !words.Terminal(w) {
		return &progress{}
	}
	return &progress{w: w}
}

func (p *progress) show(format string, args ...any) {
	if p.w == nil {
		return
	}
	line := fmt.Sprintf(format, args...)
	fmt.Fprintf(p.w, "\r%-*s", p.shown, line)
	p.shown = len(line)
}

func (p *progress) clear() {
	if p.w != nil && p.shown > 0 {
		fmt.Fprintf(p.w, "\r%*s\r", p.shown, "")
		p.shown = 0
	}
}
