package byhand

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/configs/profiles"
	"fieldbridge/southbound/modbus/commission"
	"fieldbridge/southbound/modbus/wire"
)

// Scan is what a scan is asked for.
type Scan struct {
	Units, Addresses string // ranges, as they are given
	Line, SunSpec    bool
}

// Scan finds what answers on the bus at url.
func (d *Desk) Scan(ctx context.Context, url string, what Scan) error {
	first, last, err := parseRange(what.Units, 0, 255)
	if err != nil {
		return misuse(fmt.Errorf("units: %w", err))
	}
	s := scanning{Desk: d, progress: newProgress(d.People), all: []any{}, began: time.Now()}
	defer s.progress.clear()
	switch {
	case what.Line:
		err = s.line(ctx, url, first, last)
	case what.SunSpec:
		err = s.sunSpec(ctx, url)
	case what.Addresses != "":
		err = s.addresses(ctx, url, what.Addresses)
	default:
		err = s.units(ctx, url, first, last)
	}
	s.progress.clear()
	if d.JSON {
		if err := words.JSON(d.Data, s.all); err != nil {
			return err
		}
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("stopped")
	}
	if err != nil {
		return advised(err, url)
	}
	if len(s.all) == 0 {
		return errors.New("nothing answered: check the wiring, the polarity and the termination, or try a longer --timeout")
	}
	return nil
}

// scanning is a scan under way.
type scanning struct {
	*Desk
	progress *progress
	began    time.Time
	all      []any // what was found, for programs
}

// tell tells what was found: at once to people, at the end to programs.
func (s *scanning) tell(found any, format string, args ...any) {
	s.all = append(s.all, found)
	s.progress.clear()
	if !s.JSON {
		fmt.Fprintf(s.Data, format+"\n", args...)
	}
}

// left says how long the rest takes, by what was done so far.
func (s *scanning) left(done, all int) string {
	if done == 0 {
		return ""
	}
	rest := time.Since(s.began) / time.Duration(done) * time.Duration(all-done)
	return ", at most " + words.Ago(rest.Round(time.Second)) + " left"
}

// Unit is a unit that was found, and the profiles that may be for it.
type Unit struct {
	commission.Found
	Profiles []string `json:"profiles,omitempty"`
}

// known tells of a unit that was found.
func (s *scanning) known(f commission.Found) {
	u, text := Recognise(f)
	s.tell(u, "%s", text)
}

// Recognise returns a unit that was found with the profiles that may be for it, and
// the same for people.
func Recognise(f commission.Found) (u Unit, text string) {
	u.Found = f
	var models []int
	for _, m := range f.Models {
		models = append(models, m.ID)
	}
	u.Profiles = profiles.For(f.Texts(), models)
	text = f.String()
	if u.Profiles != nil {
		text += "\n    profile: " + strings.Join(u.Profiles, ", or ")
	}
	return u, text
}

func (s *scanning) units(ctx context.Context, url string, first, last int) error {
	m, err := s.master(url)
	if err != nil {
		return misuse(err)
	}
	defer m.Close()
	return m.ScanUnits(ctx, first, last, func(unit int) {
		s.progress.show("unit %d of %d to %d, %d found%s", unit, first, last, len(s.all), s.left(unit-first, last-first+1))
	}, s.known)
}

func (s *scanning) sunSpec(ctx context.Context, url string) error {
	m, err := s.master(url)
	if err != nil {
		return misuse(err)
	}
	defer m.Close()
	models, err := m.SunSpec(ctx, s.Unit)
	for _, model := range models {
		s.tell(model, "%v", model)
	}
	return err
}

// line finds the settings of a serial line, and who answers there.
func (s *scanning) line(ctx context.Context, url string, first, last int) error {
	if a, err := wire.ParseURL(url); err != nil || !a.Serial() {
		return misuse(errors.New("--line is for serial ports, rtu:// and ascii://"))
	}
	if s.Via != "" {
		return errors.New("a running gateway holds the line, and its file says how it is set: stop it to try other settings")
	}
	place, err := s.place(url)
	if err != nil {
		return misuse(err)
	}
	ask, done := commission.LineAsker(place, s.Timeout, s.options("", url))
	defer done()
	search := commission.LineScan{Settings: commission.CommonLines(place.Address.ASCII()), First: first, Last: last,
		Ask: ask,
		Step: func(l commission.LineStep) {
			s.progress.show("%v, unit %d, %d of %d asked%s", l.LineSettings, l.Unit, l.Done, l.All, s.left(l.Done, l.All))
		}}
	found, ok, heard, err := search.Run(ctx)
	for _, h := range heard {
		s.progress.clear()
		fmt.Fprintf(s.People, "heard at %v when unit %d was asked: %s\n", h.LineSettings, h.Unit, h.Noise)
	}
	if err == nil && !ok && heard != nil {
		return errors.New("something is on the line, and nothing of it is an answer: check that A and B are not swapped, " +
			"the termination, and that no other master asks there")
	}
	if err != nil || !ok {
		return err
	}
	done()
	s.Bus.Baud, s.Bus.DataBits, s.Bus.Parity, s.Bus.StopBits = found.Baud, found.DataBits, string(found.Parity),
		found.StopBits
	m, err := s.master(url)
	if err != nil {
		return misuse(err)
	}
	defer m.Close()
	there, err := m.Look(ctx, found.Unit)
	if err != nil {
		return err
	}
	u, text := Recognise(there)
	s.tell(struct {
		commission.LineSettings
		Unit
	}{found.LineSettings, u}, "unit %d answers at %v: baud: %d, data_bits: %d, parity: %s, stop_bits: %d\n%s", found.Unit,
		found.LineSettings, found.Baud, found.DataBits, found.Parity, found.StopBits, text)
	fmt.Fprintf(s.People, "the other units: fieldbridge modbus scan %s --baud %d --data-bits %d --parity %s "+
		"--stop-bits %d\n",
		url, found.Baud, found.DataBits, found.Parity, found.StopBits)
	return nil
}

// addressRun is some addresses that answer.
type addressRun struct {
	Table string `json:"table"`
	First int    `json:"first"`
	Count int    `json:"count"`
	Bytes int    `json:"bytes,omitempty"` // of a register that has not two
}

func (s *scanning) addresses(ctx context.Context, url, what string) error {
	table, span, _ := strings.Cut(what, ":")
	first, last, err := parseRange(span, 0, 65535)
	if err != nil {
		return misuse(fmt.Errorf("addresses: %w", err))
	}
	m, err := s.master(url)
	if err != nil {
		return misuse(err)
	}
	defer m.Close()
	return m.ScanAddresses(ctx, s.Unit, table, first, last, func(at int) {
		s.progress.show("%s %d of %d to %d%s", table, at, first, last, s.left(at-first, last-first+1))
	}, func(r commission.Run) {
		if n := r.End - r.First; r.Bytes == 0 {
			s.tell(addressRun{table, r.First, n, 0}, "%s %d to %d answer (%d)", table, r.First, r.End-1, n)
		} else {
			s.tell(addressRun{table, r.First, n, r.Bytes}, "%s %d answers %d bytes (bytes: %[3]d)", table, r.First, r.Bytes)
		}
	})
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
