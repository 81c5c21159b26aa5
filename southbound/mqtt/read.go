package mqtt

import (
	"time"

	"github.com/tidwall/gjson"

	"fieldbridge/bridge"
)

// result is what a message says.
type result struct {
	at       time.Time
	readings []bridge.Reading
}

// read returns what m says, and the fault if there is one: of the whole
// message, then there are no readings, or of some of them.
func (to *route) read(m message) (result, fault) {
	switch {
	case to.fault != faultNone:
		return result{}, to.fault
	case len(m.payload) == 0:
		// How MQTT takes a retained message back: no reading, but worth a count.
		return result{}, faultEmpty
	case to.rule.single != nil:
		v := to.rule.single.value(jsonText(m.payload))
		return result{m.at, []bridge.Reading{{Point: to.single, Value: v}}}, valueFault(v)
	}
	return to.rule.decode(to.rule, m)
}

// readJSON returns those of the rule's points that a payload has.
func (r *rule) readJSON(m message) (result, fault) {
	if f := jsonFault(m.payload); f != faultNone {
		return result{}, f
	}
	text, worst := jsonText(m.payload), faultNone
	out := result{at: m.at, readings: make([]bridge.Reading, 0, len(r.points))}
	for i := range r.points {
		p := &r.points[i]
		if v, present := p.jsonValue(gjson.Get(text, p.path)); present {
			out.add(p, v, &worst)
		}
	}
	if r.clock != nil && !out.stamp(r.clock.fromJSON(text, m.at)) {
		worst = faultTime
	}
	return out.checked(worst)
}

// add adds the value of a point.
func (out *result) add(p *extract, v bridge.Value, worst *fault) {
	if f := valueFault(v); f != faultNone {
		*worst = f
	}
	out.readings = append(out.readings, bridge.Reading{Point: p.info.Name, Value: v})
}

// stamp sets the time that a payload says, and reports whether it says one.
func (out *result) stamp(at time.Time, err error) bool {
	if err == nil {
		out.at = at
	}
	return err == nil
}

// checked returns out with its fault.
func (out *result) checked(worst fault) (result, fault) {
	if len(out.readings) == 0 {
		return result{}, faultMissing
	}
	return *out, worst
}
