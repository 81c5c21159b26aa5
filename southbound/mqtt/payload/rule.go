package payload

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"fieldbridge/bridge"
)

// Rule says how payloads are read. It does not change, so that any number of
// goroutines may use it.
type Rule struct {
	single *extract         // of a payload that is one value
	points []extract        // of a payload with several, sorted by name
	all    bool             // every value in the payload is a point
	lines  bool             // CSV
	skip   int              // lines at the top of CSV
	clock  *clock           // nil if the time is that of arrival
	others *bridge.Delivery // of the points that the rule does not name
}

// Compile makes a rule of settings. [Settings.Validate] reports the same errors
// with their keys. The rule of Sparkplug reads nothing: it knows how the points
// are delivered.
func Compile(s Settings) (*Rule, error) {
	r := &Rule{skip: s.SkipLines, others: newDelivery(s.OnChange, nil, s.Heartbeat, nil)}
	var err error
	if r.clock, err = newClock(s.Time); err != nil {
		return nil, fmt.Errorf("time: %w", err)
	}
	switch {
	case s.Format == Sparkplug:
		return r, nil
	case len(s.Points) == 0:
		e, err := newExtract("", Point{Value: s.Value})
		r.single = &e
		return r, err
	case s.Points.All():
		r.all = true
		return r, nil
	}
	r.lines = s.Format == CSV
	for _, point := range slices.Sorted(maps.Keys(s.Points)) {
		p := s.Points[point]
		p.OnChange, p.Heartbeat = cmp.Or(p.OnChange, s.OnChange), cmp.Or(p.Heartbeat, s.Heartbeat)
		e, err := newExtract(point, p)
		if err != nil {
			return nil, fmt.Errorf("point %s: %w", point, err)
		}
		r.points = append(r.points, e)
	}
	return r, nil
}

// Lines reports whether each line of a payload is read for itself, with
// [Rule.ReadLines] instead of [Rule.Read].
func (r *Rule) Lines() bool { return r.lines }

// Single reports whether the whole payload is one value, whose point the caller
// names.
func (r *Rule) Single() bool { return r.single != nil }

// Points returns what the catalogue is told about the points that the rule
// names, sorted by name.
func (r *Rule) Points() []bridge.PointInfo {
	all := make([]bridge.PointInfo, len(r.points))
	for i := range r.points {
		all[i] = r.points[i].info
	}
	return all
}

// Info returns what the catalogue is told about a point that was read.
func (r *Rule) Info(reading bridge.Reading) bridge.PointInfo {
	if r.single != nil {
		info := r.single.info
		info.Name = reading.Point
		return info
	}
	named := func(e extract) bool { return e.info.Name == reading.Point }
	if i := slices.IndexFunc(r.points, named); i >= 0 {
		return r.points[i].info
	}
	info := inferred(reading)
	info.Delivery = r.others
	return info
}

// extract says how one point is read.
type extract struct {
	info                bridge.PointInfo
	path                string // GJSON
	column              int    // CSV, from 1
	typ                 Type
	scaling             bridge.Scaling
	trueWhen, falseWhen []string
	numbers             map[string]int64 // of an enum, by name
}

func newExtract(name string, p Point) (extract, error) {
	typ, ok := LookupType(p.typeName())
	if !ok {
		return extract{}, fmt.Errorf("%q is not a type", p.Type)
	}
	e := extract{path: p.Path, column: p.Column, typ: typ, scaling: bridge.NewScaling(p.Scale, p.Offset),
		trueWhen: p.TrueWhen, falseWhen: p.FalseWhen}
	e.info = bridge.PointInfo{Name: name, Type: typ.Name, Unit: p.Unit, Enum: p.Enum,
		Delivery: newDelivery(p.OnChange, p.Deadband, p.Heartbeat, p.Report)}
	if p.Enum != nil {
		e.numbers = make(map[string]int64, len(p.Enum))
		for n, word := range p.Enum {
			e.numbers[word] = n
		}
	}
	return e, nil
}

// typeName returns the type: it need not be given where only integers or only
// bools make sense.
func (v *Value) typeName() string {
	switch {
	case v.Type != "":
		return v.Type
	case v.Enum != nil:
		return "int64"
	case v.TrueWhen != nil || v.FalseWhen != nil:
		return "bool"
	}
	return "float64"
}
