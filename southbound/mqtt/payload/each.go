package payload

import (
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/topic"
)

// maxElements is how many elements of one payload are read.
const maxElements = 10_000

// Names put together what device or point is called, of what a payload says at the
// places of the rule's settings; "" is nothing that could be named. They may keep
// what they are given.
type Names interface {
	Device(read []string) string
	Point(read []string) string
}

// ReadSeveral returns those of the rule's points that the elements or lines of a
// payload have, one result for each. Where an element has one value and names it,
// the values of a device and time are one result. What cannot be read hurts
// nothing else; the fault is that of the message, or the first of a result, and where
// it is, as "element 2", "" if that is all. point is as for [Rule.Read].
func (r *Rule) ReadSeveral(point string, payload []byte, at time.Time, names Names) (all []Result, f Fault,
	where string) {
	switch {
	case len(payload) == 0:
		return nil, FaultEmpty, ""
	case r.lines:
		return r.readLines(payload, at, names)
	}
	payload, f = tidy(payload, r.each != "")
	if f != FaultNone {
		return nil, f, ""
	}
	root := gjson.Parse(topic.View(payload))
	b := batcher{rule: r, point: point, at: at, names: names}
	b.whole = make([]gjson.Result, len(r.whole))
	for i, path := range r.whole {
		b.whole[i] = gjson.Get(root.Raw, path)
	}
	if r.each == "" {
		b.read(element{Result: root, whole: b.whole})
		return b.checked()
	}
	b.walk(gjson.Get(root.Raw, r.each), nil)
	return b.checked()
}

// walk reads the elements of a list or object, which is in the element around.
func (b *batcher) walk(list gjson.Result, around *element) {
	object, index := list.IsObject(), 0
	if !object && !list.IsArray() {
		return
	}
	list.ForEach(func(key, v gjson.Result) bool {
		e := element{Result: v, key: key.Str, index: index, whole: b.whole, around: around}
		if !object {
			e.key = strconv.Itoa(index)
		}
		index++
		if Exact && b.rule.then != "" && around == nil {
			b.walk(e.get(place{path: b.rule.then}), &e)
			return b.count <= maxElements
		}
		if b.count++; b.count > maxElements {
			b.blamed, b.worst, b.where = true, FaultElements, ""
			return false
		}
		b.read(e)
		return true
	})
}

// batcher gathers what the elements of one payload say.
type batcher struct {
	rule  *Rule
	point string
	at    time.Time
	names Names
	whole []gjson.Result
	all   []Result
	open  map[moment]int // index of the result of a device and time, if values are gathered
	count int            // of the elements
	blamer
}

// blamer keeps the first fault of a payload that is taken to pieces.
type blamer struct {
	blamed bool
	worst  Fault
	where  string
}

func (b *blamer) blame(f Fault, where string) {
	if f != FaultNone && (!b.blamed || b.worst == FaultMissing) {
		b.blamed, b.worst, b.where = true, f, where
	}
}

// label is what an element is called for people; "" is the whole payload.
func (r *Rule) label(e *element) string {
	switch {
	case !Exact || r.each == "":
		return ""
	case e.around != nil:
		return "element " + e.around.key + "." + e.key
	}
	return "element " + strings.Clone(e.key)
}

type moment struct {
	device string
	at     time.Time
}

// checked returns what was gathered.
func (b *batcher) checked() ([]Result, Fault, string) {
	if len(b.all) == 0 {
		b.blame(FaultMissing, "")
	}
	return b.all, b.worst, b.where
}

// read takes in what an element says.
func (b *batcher) read(e element) {
	out, r := Result{At: b.at}, b.rule
	out.Originals = r.all || r.point != nil
	switch {
	case r.single != nil:
		b.readSingle(&e, &out)
	case r.all:
		under := e.Result
		if r.under != nil {
			under = e.get(*r.under)
		}
		if under.Type == gjson.JSON {
			out.flatten("", false, under)
		}
	default:
		out.Readings = make([]bridge.Reading, 0, len(r.points))
		for i := range r.points {
			out.take(&r.points[i], &e)
		}
	}
	if len(out.Readings) == 0 {
		return // an element of another kind
	}
	if Exact && r.good != nil && !r.good.is(e.get(r.good.place)) {
		out.spoil()
	}
	if r.clock != nil && !out.stamp(r.clock.ofElement(&e, b.at)) {
		out.Fault, out.Point = r.clock.faultOf(&e), ""
	}
	if out.Fault != FaultNone {
		b.blame(out.Fault, r.label(&e))
	}
	if r.device != nil {
		if out.Device = r.deviceOf(b.names, e.name); out.Device == "" {
			b.blame(FaultName, r.label(&e))
			return
		}
	}
	b.place(out)
}

// take adds the value of a point, if an element has it.
func (out *Result) take(p *extract, e *element) {
	found := e.get(p.place)
	v, present := p.jsonValue(found)
	if !present {
		return
	}
	var unit gjson.Result
	if p.unitAt != nil {
		unit = e.get(*p.unitAt)
		v = p.inUnit(v, unit)
	}
	f := ValueFault(v)
	if Exact && f == FaultType {
		f = p.explainFound(found, unit)
	}
	out.blame(f, p.info.Name)
	out.Readings = append(out.Readings, bridge.Reading{Point: p.info.Name, Value: v})
}

// readSingle reads the one value of an element, and its name if it has one.
func (b *batcher) readSingle(e *element, out *Result) {
	out.take(b.rule.single, e)
	if len(out.Readings) == 0 {
		return
	}
	name := b.point
	if b.rule.point != nil {
		if name = read(b.rule.point, e.name, b.names.Point); name == "" {
			b.blame(FaultName, b.rule.label(e))
			out.Readings = nil
			return
		}
	}
	out.Readings[0].Point = name
	if out.Fault != FaultNone {
		out.Point = name
	}
}

// place adds a result, to that of the same device and time if its values come one
// by one.
func (b *batcher) place(out Result) {
	if b.rule.point == nil {
		b.all = append(b.all, out)
		return
	}
	if b.open == nil {
		b.open = make(map[moment]int)
	}
	m := moment{out.Device, out.At}
	i, ok := b.open[m]
	if !ok || len(b.all[i].Readings) >= maxLeaves || b.all[i].has(out.Readings[0].Point) {
		b.open[m] = len(b.all)
		b.all = append(b.all, out)
		return
	}
	b.all[i].Readings = append(b.all[i].Readings, out.Readings[0])
	b.all[i].blame(out.Fault, out.Point)
}

func (out *Result) has(point string) bool {
	for i := range out.Readings {
		if out.Readings[i].Point == point {
			return true
		}
	}
	return false
}

// deviceOf returns the device's name by what is read at the places, "" if there is
// none.
func (r *Rule) deviceOf(names Names, at func(place) string) string {
	return read(r.device, at, names.Device)
}

// read makes a name of what is at the places, "" if one of them has nothing.
func read(places []place, at func(place) string, name func([]string) string) string {
	parts := make([]string, len(places))
	for i, p := range places {
		if parts[i] = strings.Clone(at(p)); parts[i] == "" && !p.optional {
			return ""
		}
	}
	return name(parts)
}
