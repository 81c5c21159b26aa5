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
// nothing else. point is as for [Rule.Read].
func (r *Rule) ReadSeveral(point string, payload []byte, at time.Time, names Names) ([]Result, Fault) {
	switch {
	case len(payload) == 0:
		return nil, FaultEmpty
	case r.lines:
		return r.readLines(payload, at, names)
	}
	payload, f := tidy(payload)
	if f != FaultNone {
		return nil, f
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
	list, object, index := gjson.Get(root.Raw, r.each), false, 0
	object = list.IsObject()
	if !object && !list.IsArray() {
		return nil, FaultMissing
	}
	list.ForEach(func(key, v gjson.Result) bool {
		if index == maxElements {
			b.worst = FaultElements
			return false
		}
		e := element{Result: v, key: key.Str, whole: b.whole}
		if !object {
			e.key = strconv.Itoa(index)
		}
		index++
		b.read(e)
		return true
	})
	return b.checked()
}

// batcher gathers what the elements of one payload say.
type batcher struct {
	rule  *Rule
	point string
	at    time.Time
	names Names
	whole []gjson.Result
	all   []Result
	worst Fault
	open  map[moment]int // index of the result of a device and time, if values are gathered
}

type moment struct {
	device string
	at     time.Time
}

// checked returns what was gathered.
func (b *batcher) checked() ([]Result, Fault) {
	if len(b.all) == 0 && b.worst == FaultNone {
		b.worst = FaultMissing
	}
	return b.all, b.worst
}

// read takes in what an element says.
func (b *batcher) read(e element) {
	out, r := Result{At: b.at}, b.rule
	out.Originals = r.all || r.point != nil
	switch {
	case r.single != nil:
		b.readSingle(&e, &out)
	case r.all:
		if e.Type == gjson.JSON {
			out.flatten("", false, e.Result, &b.worst)
		}
	default:
		out.Readings = make([]bridge.Reading, 0, len(r.points))
		for i := range r.points {
			p := &r.points[i]
			if v, present := p.jsonValue(e.get(p.place)); present {
				if p.unitAt != nil {
					v = p.inUnit(v, e.get(*p.unitAt))
				}
				out.add(p, v, &b.worst)
			}
		}
	}
	if len(out.Readings) == 0 {
		return // an element of another kind
	}
	if r.clock != nil && !out.stamp(r.clock.fromJSON(e.get(r.clock.place), b.at)) {
		b.worst = FaultTime
	}
	if r.device != nil {
		if out.Device = r.deviceOf(b.names, e.name); out.Device == "" {
			b.worst = FaultName
			return
		}
	}
	b.place(out)
}

// readSingle reads the one value of an element, and its name if it has one.
func (b *batcher) readSingle(e *element, out *Result) {
	s := b.rule.single
	v, present := s.jsonValue(e.get(s.place))
	if !present {
		return
	}
	name := b.point
	if b.rule.point != nil {
		if name = read(b.rule.point, e.name, b.names.Point); name == "" {
			b.worst = FaultName
			return
		}
	}
	if f := ValueFault(v); f != FaultNone {
		b.worst = f
	}
	out.Readings = []bridge.Reading{{Point: name, Value: v}}
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
		if parts[i] = strings.Clone(at(p)); parts[i] == "" {
			return ""
		}
	}
	return name(parts)
}
