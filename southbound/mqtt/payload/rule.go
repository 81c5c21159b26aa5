package payload

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/topic"
)

// Rule says how payloads are read. It does not change, so that any number of
// goroutines may use it.
type Rule struct {
	single *extract         // of a payload that is one value
	points []extract        // of a payload with several, sorted by name
	all    bool             // every value in the payload is a point
	format string           // CBOR or Msgpack, if the settings say so
	lines  bool             // CSV
	skip   int              // lines at the top of CSV
	clock  *clock           // nil if the time is that of arrival
	each   string           // path to the elements; "" is the whole payload
	then   string           // path to the elements of each of them; "" is none
	under  *place           // of what has all points; nil is the payload or element itself
	good   *quality         // nil is not said
	whole  []string         // paths that are counted from the whole payload, though there are elements
	device []place          // what the payload says of the device's name
	point  []place          // what it says of the name of the single point
	others *bridge.Delivery // of the points that the rule does not name
	thin   *setting.Thin    // of them
}

// Compile makes a rule of settings. [Settings.Validate] reports the same errors
// with their keys. The rule of Sparkplug reads nothing: it knows how the points
// are delivered.
func Compile(s Settings) (*Rule, error) {
	r := &Rule{format: s.Format, skip: s.SkipLines, others: newDelivery(s.OnChange, nil, s.Heartbeat, nil),
		thin: s.Thin}
	var err error
	if r.clock, err = newClock(s.Time); err != nil {
		return nil, fmt.Errorf("time: %w", err)
	}
	switch {
	case s.Format == Sparkplug:
		return r, nil
	case len(s.Points) == 0:
		e, err := newExtract(s.Format, "", Point{Path: s.Path, Value: s.Value})
		r.single = &e
		r.elements(s)
		return r, err
	case s.Points.All():
		r.all = true
		if s.Path != "" {
			r.under = &place{path: s.Path}
		}
		r.elements(s)
		return r, nil
	}
	r.lines = s.Format == CSV
	for _, point := range slices.Sorted(maps.Keys(s.Points)) {
		p := s.Points[point]
		p.OnChange, p.Heartbeat = cmp.Or(p.OnChange, s.OnChange), cmp.Or(p.Heartbeat, s.Heartbeat)
		p.thinLike(point, s.Thin)
		e, err := newExtract(s.Format, point, p)
		if err != nil {
			return nil, fmt.Errorf("point %s: %w", point, err)
		}
		r.points = append(r.points, e)
	}
	r.elements(s)
	return r, nil
}

// elements takes over how a payload is taken to pieces, and which of the places are
// not in them.
func (r *Rule) elements(s Settings) {
	r.each, r.then = s.Each, s.ThenEach
	if q := s.Quality; q != nil {
		r.good = &quality{place{path: q.Path, column: q.Column}, q.Good}
	}
	r.device, r.point = r.placesOf(s.Device), r.placesOf(s.Point)
	if r.each == "" {
		r.unanchor()
		return
	}
	r.places(r.anchor)
}

// places calls do for each place of the rule but those of names.
func (r *Rule) places(do func(p *place)) {
	if r.single != nil {
		do(&r.single.place)
	}
	for i := range r.points {
		do(&r.points[i].place)
		if at := r.points[i].unitAt; at != nil {
			do(at)
		}
	}
	if r.clock != nil {
		do(&r.clock.place)
		for _, p := range []*place{r.clock.date, r.clock.base} {
			if p != nil {
				do(p)
			}
		}
	}
	if r.under != nil {
		do(r.under)
	}
	if r.good != nil {
		do(&r.good.place)
	}
}

// unanchor takes $. off the paths of a rule without elements: all are counted from
// the whole payload, and those who know JSONPath write it so.
func (r *Rule) unanchor() {
	r.places(func(p *place) { p.path = strings.TrimPrefix(p.path, fromRoot) })
}

func (r *Rule) placesOf(paths []string) (all []place) {
	for _, path := range paths {
		p := place{path: path}
		if may, ok := strings.CutSuffix(path, topic.Optional); ok && !strings.HasSuffix(may, `\`) {
			p.path, p.optional = may, true
		}
		if r.lines {
			p.column, _ = strconv.Atoi(p.path)
		} else if r.each != "" {
			r.anchor(&p)
		} else {
			p.path = strings.TrimPrefix(p.path, fromRoot)
		}
		all = append(all, p)
	}
	return all
}

// anchor remembers the path of p if it is counted from the whole payload: that is
// looked for once, not again for each element.
func (r *Rule) anchor(p *place) {
	if path, ok := strings.CutPrefix(p.path, fromRoot); ok {
		r.whole = append(r.whole, path)
		p.root = len(r.whole)
	} else if path, ok := strings.CutPrefix(p.path, fromAround); ok {
		p.path, p.around = path, true
	}
}

// Several reports whether a payload may speak of several times or devices, or
// name its device: then it is read with [Rule.ReadSeveral] instead of [Rule.Read].
func (r *Rule) Several() bool {
	return r.lines || r.each != "" || r.device != nil || r.point != nil || r.single != nil && r.single.path != "" ||
		r.under != nil || r.good != nil || r.clock != nil && (r.clock.date != nil || r.clock.base != nil)
}

// NamesDevice reports whether the payload says what its device is called.
func (r *Rule) NamesDevice() bool { return r.device != nil }

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
		info := r.single.infoOf(reading)
		info.Name = reading.Point
		if info.Delivery == nil || info.Delivery.Report == nil {
			info.Thin = newThin(r.thin.Of(info.Name, info.Unit))
		}
		return info
	}
	named := func(e extract) bool { return e.info.Name == reading.Point }
	if i := slices.IndexFunc(r.points, named); i >= 0 {
		return r.points[i].infoOf(reading)
	}
	info := inferred(reading)
	info.Delivery, info.Thin = r.others, newThin(r.thin.Of(reading.Point, info.Unit))
	return info
}

// extract says how one point is read.
type extract struct {
	info bridge.PointInfo
	place
	octets              *octets // nil if the value is not in bytes
	unitAt              *place  // of the unit in the payload; nil is nowhere
	typ                 Type
	decimal             byte // what stands before the fraction in a text; 0 is a point, or what the text tells
	scaling             bridge.Scaling
	trueWhen, falseWhen []string
	numbers             map[string]int64 // of an enum, by name
	invalid             []string         // texts that say that there is no value
	sentinels           []float64        // numbers that do
	after, until        string           // between which the value is
}

func newExtract(format, name string, p Point) (extract, error) {
	typeName := p.typeName()
	if format == Bytes || p.Encoding != "" {
		typeName = octetType(p)
	}
	typ, ok := LookupType(typeName)
	if !ok {
		return extract{}, fmt.Errorf("%q is not a type", p.Type)
	}
	e := extract{place: place{path: p.Path, column: p.Column}, typ: typ, scaling: bridge.NewScaling(p.Scale, p.Offset),
		trueWhen: p.TrueWhen, falseWhen: p.FalseWhen, invalid: p.Invalid, after: p.After, until: p.Until}
	for _, text := range p.Invalid {
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			e.sentinels = append(e.sentinels, f)
		}
	}
	if p.UnitPath != "" {
		e.unitAt = &place{path: p.UnitPath}
	}
	if name != "" {
		e.octets = newOctets(format, p, typ)
	}
	e.info = bridge.PointInfo{Name: name, Type: typ.Name, Unit: p.Unit, Enum: p.Enum, Places: e.scaling.Places(),
		Delivery: newDelivery(p.OnChange, p.Deadband, p.Heartbeat, p.Report), Thin: newThin(p.Thin)}
	if p.Decimal != "" {
		e.decimal = p.Decimal[0]
	}
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
