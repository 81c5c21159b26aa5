package plan

import (
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Learnt is what a device was found not to allow. It is kept over restarts and
// tried again after [forgetAfter].
type Learnt struct {
	Words Bound     `json:"words,omitzero"` // registers in one request
	Bits  Bound     `json:"bits,omitzero"`
	Holes []Refused `json:"holes,omitempty"`
	Seams []Seam    `json:"seams,omitempty"`
	// Alone are tables of which a request may have one value only.
	Alone []wire.Table `json:"alone,omitempty"`
	// Stepped are tables of which a request must have an even number of registers,
	// or whole eights of bits.
	Stepped []wire.Table `json:"stepped,omitempty"`
	// Models is the list of a SunSpec device, by address; nil is not known.
	Models []SunSpecModel `json:"models,omitempty"`
	// Trip is how long the device takes to answer: over a network the round trip,
	// in steps; on a serial line what it thinks. See trip. It has no age.
	Trip time.Duration `json:"trip,omitempty"`
	At   time.Time     `json:"at"` // of the last of the other facts
}

// Bound is the most that a device takes: Low is proved, High is refused. High 0
// is that nothing was refused.
type Bound struct {
	Low  int `json:"low"`
	High int `json:"high"`
}

// Refused is a run of addresses that no request may touch.
type Refused struct {
	Table wire.Table `json:"table"`
	First int        `json:"first"`
	End   int        `json:"end"`
	Why   string     `json:"why,omitempty"` // for people: by what, "" is that it is not there
}

// ForgetAfter is how long a device is taken at its word.
const ForgetAfter = 24 * time.Hour

// most is what to ask for: in the middle of what is not known yet.
func (b Bound) most(limit int) int {
	if b.High == 0 {
		return limit
	}
	return min(limit, max(1, (b.Low+b.High)/2))
}

// Known reports whether anything was learnt.
func (l Learnt) Known() bool {
	return l.Words.High != 0 || l.Bits.High != 0 || len(l.Holes)+len(l.Seams)+len(l.Alone)+len(l.Stepped) > 0
}

// Bound returns the bound for a table.
func (l *Learnt) Bound(t wire.Table) *Bound {
	if t.Bits() {
		return &l.Bits
	}
	return &l.Words
}

// limits returns what requests may ask for, of what the configuration allows.
func (l Learnt) limits(of Limits) Limits {
	of.Words, of.Bits = l.Words.most(of.Words), l.Bits.most(of.Bits)
	of.seams, of.alone, of.Stepped = l.Seams, l.Alone, slices.Concat(of.Stepped, l.Stepped)
	for _, r := range l.Never(of) {
		of.holes = append(of.holes, hole{r.Table, point.Span{First: r.First, End: r.End}})
	}
	for _, h := range l.Holes {
		of.holes = append(of.holes, hole{h.Table, point.Span{First: h.First, End: h.End}})
	}
	return of
}

// Never returns where the points are that are never read, as far as it is known
// where the device has them.
func (l Learnt) Never(of Limits) (all []wire.Run) {
	if of.Never == nil {
		return nil
	}
	placed, _ := l.Placed(of.Never)
	for _, f := range placed {
		if f.Models == nil {
			all = append(all, wire.Run{Table: f.Table, First: f.Address, End: f.End()})
		}
	}
	return all
}

// add notes a hole that is news.
func (l *Learnt) add(t wire.Table, h Hole) {
	if !slices.ContainsFunc(l.Holes, func(o Refused) bool {
		return o.Table == t && o.First == h.First && o.End == h.End
	}) {
		l.Holes = append(l.Holes, Refused{t, h.First, h.End, h.Why})
	}
}

// Hole reports whether f, which is in its place, cannot be read without touching
// what the device refuses, and by what it does, for people; "" is that it is not
// there.
func (l Learnt) Hole(f *point.Field) (why string, is bool) {
	reach := f.Reach()
	i := slices.IndexFunc(l.Holes, func(h Refused) bool {
		return h.Table == f.Table && h.First < reach.End && reach.First < h.End
	})
	if i < 0 {
		return "", false
	}
	return l.Holes[i].Why, true
}

// Tells reports whether there is something to tell people.
func (l Learnt) Tells() bool { return l.Known() || len(l.Models) > 0 }

// String says what is known, for people.
func (l Learnt) String() string {
	var parts []string
	for _, b := range []struct {
		Bound
		of string
	}{{l.Words, "registers"}, {l.Bits, "bits"}} {
		if b.High != 0 {
			parts = append(parts, fmt.Sprintf("at most %d %s in a request", b.Low, b.of))
		}
	}
	if n := len(l.Holes); n > 0 {
		var spans []string
		for _, h := range l.Holes[:min(n, 8)] {
			spans = append(spans, fmt.Sprintf("%s %d+%d", h.Table, h.First, h.End-h.First))
		}
		if n > 8 {
			spans = append(spans, fmt.Sprintf("%d more", n-8))
		}
		parts = append(parts, "refuses "+strings.Join(spans, ", "))
	}
	parts = append(parts, l.lengthsText()...)
	if len(l.Models) > 0 {
		var models []string
		for _, m := range l.Models {
			models = append(models, fmt.Sprintf("%d at %d", m.ID, m.Address))
		}
		parts = append(parts, "SunSpec models "+strings.Join(models, ", "))
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, "; ")
}

// find returns the first of some models that the device has, or the instance-th,
// from 1: those of the first id come first, in the order of the device's list.
func (l Learnt) find(models []int, instance int) (SunSpecModel, bool) {
	for _, id := range models {
		for _, m := range l.Models {
			if m.ID != id {
				continue
			}
			if instance--; instance <= 0 {
				return m, true
			}
		}
	}
	return SunSpecModel{}, false
}

// Placed returns fields with their addresses on the device, and the names of
// those that it should have and lacks; copies that it lacks are neither.
// While its models are not known the fields are returned as they are.
func (l Learnt) Placed(fields []*point.Field) (placed []*point.Field, lost []string) {
	fields = l.Present(fields)
	if l.Models == nil {
		return fields, nil
	}
	moved := make(map[*point.Field]*point.Field)
	heads := make(map[int]*point.Head)
	var place func(f *point.Field) *point.Field
	place = func(f *point.Field) *point.Field {
		if f == nil || f.Models == nil {
			return f
		}
		if m := moved[f]; m != nil {
			return m
		}
		model, ok := l.find(f.Models, int(f.Instance))
		factor := place(f.Factor)
		if !ok || f.End() > 2+model.Length || f.Factor != nil && factor == nil {
			return nil
		}
		head := heads[model.Address]
		if head == nil {
			head = &point.Head{Address: model.Address, ID: model.ID, Length: model.Length}
			heads[model.Address] = head
		}
		m, rest := *f, *f.Special
		rest.Models, rest.Head = nil, head
		if rest.Together != (point.Span{}) {
			rest.Together = point.Span{First: rest.Together.First + model.Address, End: rest.Together.End + model.Address}
		}
		m.Address, m.Special, m.Factor = f.Address+model.Address, &rest, factor
		moved[f] = &m
		return &m
	}
	for _, f := range fields {
		if p := place(f); p != nil {
			placed = append(placed, p)
		} else {
			lost = append(lost, f.Name)
		}
	}
	return placed, lost
}

// Missing says, for people, which models the device lacks; "" if none.
func (l Learnt) Missing(fields []*point.Field) string {
	if len(l.Models) == 0 {
		return NoSunSpec + ": check its unit id, and that SunSpec is switched on in it"
	}
	var without []string
	for _, same := range Runs(fields, func(a, b *point.Field) bool { return slices.Equal(a.Models, b.Models) }) {
		if text := list(same[0].Models, " or "); text != "" && !slices.Contains(without, text) {
			if _, ok := l.find(same[0].Models, 1); !ok {
				without = append(without, text)
			}
		}
	}
	if without == nil {
		return ""
	}
	var ids []int
	for _, m := range l.Models {
		ids = append(ids, m.ID)
	}
	return fmt.Sprintf("it has no SunSpec model %s, it has %s: name one of these, or another profile",
		strings.Join(without, ", and none of "), list(ids, ", "))
}

func list(numbers []int, between string) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = fmt.Sprint(n)
	}
	return strings.Join(words, between)
}

// Present returns those of fields that the device has as far as is known: copies
// for which its models have no block, and those of models that it lacks so
// often, are not there.
func (l Learnt) Present(fields []*point.Field) []*point.Field {
	here := make([]*point.Field, 0, len(fields))
	for _, f := range fields {
		if f.Models == nil {
			here = append(here, f)
			continue
		}
		model, ok := l.find(f.Models, int(f.Instance))
		switch {
		case !ok && !f.First():
		case ok && f.Block > 0 && f.End() > 2+model.Length:
		default:
			here = append(here, f)
		}
	}
	return here
}

// SunSpecModel is one model in a SunSpec device's list.
type SunSpecModel struct {
	ID      int    `json:"id"`
	Name    string `json:"-"`       // "" for one that is not so common
	Address int    `json:"address"` // holding address of the model's id; its points count from there
	Length  int    `json:"length"`  // registers behind id and length
}

// String says it for people.
func (m SunSpecModel) String() string {
	name := m.Name
	if name == "" {
		name = "see sunspec.org"
	}
	return fmt.Sprintf("model %d (%s) at holding %d, %d registers", m.ID, name, m.Address, 2+m.Length)
}

// Price returns what requests cost, by what is known, that cost c by assumption.
func (l Learnt) Price(c Cost) Cost {
	if c.Trip > 0 && l.Trip > 0 {
		c.Request += l.Trip - c.Trip
	}
	return c
}

// NoSunSpec says, for people, why a unit is not a SunSpec device.
const NoSunSpec = `there is no "SunS" at holding 40000, 50000 or 0`
