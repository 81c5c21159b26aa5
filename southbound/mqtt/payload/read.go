package payload

import (
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/topic"
)

// Result is what a payload says of one time.
type Result struct {
	At       time.Time // that the payload says, else that of arrival
	Readings []bridge.Reading
	// Device is what the payload calls it, as the caller's [Names] put it together.
	Device string
	// Originals says that the points are called what the payload calls them, which
	// need not be names.
	Originals bool
	// Fault is what could not be read of it, FaultNone if nothing; Point has it, "" if
	// it is in the time.
	Fault Fault
	Point string

	dotted map[string]bool // points whose name has a key with a point in it
}

// Read returns what a payload says that arrived at the time at, and the fault if
// there is one: of the whole payload, then there are no readings, or of some of
// them. point is the name of the point of a rule for one value. Nothing that is
// returned points into payload.
func (r *Rule) Read(point string, payload []byte, at time.Time) (Result, Fault) {
	switch {
	case len(payload) == 0:
		// How MQTT takes a retained message back: no reading, but worth a count.
		return Result{}, FaultEmpty
	case r.single != nil:
		text, ok := r.single.cut(r.single.unquoted(topic.View(trim(payload))))
		if !ok {
			return Result{}, FaultMissing
		}
		v := r.single.value(text)
		return Result{At: at, Readings: []bridge.Reading{{Point: point, Value: v}}}, ValueFault(v)
	case r.all:
		return r.readAll(payload, at)
	case r.format == Bytes:
		return r.readBytes(payload, at)
	case Exact && r.format == PlainText:
		return r.readText(payload, at)
	}
	return r.readJSON(payload, at)
}

// readJSON returns those of the rule's points that a payload has.
func (r *Rule) readJSON(payload []byte, at time.Time) (Result, Fault) {
	payload, f := tidy(payload, false)
	if f != FaultNone {
		return Result{}, f
	}
	text, worst := topic.View(payload), FaultNone
	out := Result{At: at, Readings: make([]bridge.Reading, 0, len(r.points))}
	for i := range r.points {
		p := &r.points[i]
		if v, present := p.jsonValue(gjson.Get(text, p.path)); present {
			if p.unitAt != nil {
				v = p.inUnit(v, gjson.Get(text, p.unitAt.path))
			}
			out.add(p, v, &worst)
		}
	}
	if r.clock != nil && !out.stamp(r.clock.fromJSON(gjson.Get(text, r.clock.path), at)) {
		worst = FaultTime
	}
	return out.checked(worst)
}

// readAll returns every number, bool and text in a JSON payload, named by where
// it is. What is null has no type to be known by and is left out.
func (r *Rule) readAll(payload []byte, at time.Time) (Result, Fault) {
	payload, f := tidy(payload, false)
	if f != FaultNone {
		return Result{}, f
	}
	text := topic.View(payload)
	out := Result{At: at, Originals: true}
	root := gjson.Parse(text)
	if !root.IsObject() && !root.IsArray() {
		return Result{}, FaultMissing // a bare value has no name
	}
	out.Readings = make([]bridge.Reading, 0, min(strings.Count(text, ",")+1, likelyLeaves))
	out.flatten("", false, root)
	if r.clock != nil && !out.stamp(r.clock.fromJSON(gjson.Get(text, r.clock.path), at)) {
		out.Fault = FaultTime
	}
	return out.checked(out.Fault)
}

// readBytes returns those of the rule's points that a payload of bytes has.
func (r *Rule) readBytes(payload []byte, at time.Time) (Result, Fault) {
	worst := FaultNone
	out := Result{At: at, Readings: make([]bridge.Reading, 0, len(r.points))}
	for i := range r.points {
		p := &r.points[i]
		data, ok := payload, true
		if p.octets.encoding != "" {
			data, ok = p.octets.decode(topic.View(payload))
		}
		if !ok {
			out.add(p, bridge.Bad(bridge.ReasonType), &worst)
		} else if v, present := p.octetValue(data); present {
			out.add(p, v, &worst)
		}
	}
	return out.checked(worst)
}

// readText returns those of the rule's points that a text has.
func (r *Rule) readText(payload []byte, at time.Time) (Result, Fault) {
	text, worst := topic.View(trim(payload)), FaultNone
	out := Result{At: at, Readings: make([]bridge.Reading, 0, len(r.points))}
	for i := range r.points {
		p := &r.points[i]
		if part, ok := p.cut(text); ok {
			out.add(p, p.value(part), &worst)
		}
	}
	if r.clock != nil {
		if part, ok := between(text, r.clock.after, r.clock.until); ok && !out.stamp(r.clock.read(part, at)) {
			worst = FaultTime
		}
	}
	return out.checked(worst)
}

// add adds the value of a point.
func (out *Result) add(p *extract, v bridge.Value, worst *Fault) {
	if f := ValueFault(v); f != FaultNone {
		*worst = f
	}
	out.Readings = append(out.Readings, bridge.Reading{Point: p.info.Name, Value: v})
}

// stamp sets the time that a payload says, and reports whether it says one.
func (out *Result) stamp(at time.Time, err error) bool {
	if err == nil {
		out.At = at
	}
	return err == nil
}

// checked returns out with its fault.
func (out *Result) checked(worst Fault) (Result, Fault) {
	if len(out.Readings) == 0 {
		return Result{}, FaultMissing
	}
	return *out, worst
}

// blame notes what could not be read.
func (out *Result) blame(f Fault, point string) {
	if out.Fault == FaultNone {
		out.Fault, out.Point = f, point
	}
}

// Explain returns what the fault that [Rule.Read] found is more exactly, for people:
// why a value is not of its point's type, or a time is not believed. payload is the text
// that was read, point what is at fault in it, "" if the payload is one value. It takes
// its time, and is called for faults that are told.
func (r *Rule) Explain(f Fault, point string, payload []byte) Fault {
	if !Exact || r.Several() {
		return f
	}
	text := topic.View(trim(payload))
	switch {
	case f == FaultTime && r.clock != nil && r.format == PlainText:
		part, _ := between(text, r.clock.after, r.clock.until)
		return r.clock.explain(part)
	case f == FaultTime && r.clock != nil:
		return r.clock.explain(spoken(gjson.Get(text, r.clock.path)))
	case f != FaultType:
	case r.single != nil:
		return r.single.explain(text)
	}
	for i := range r.points {
		if p := &r.points[i]; f == FaultType && p.info.Name == point {
			if r.format == PlainText {
				return p.explain(text)
			}
			return p.explainFound(gjson.Get(text, p.path), p.unitIn(text))
		}
	}
	return f
}
