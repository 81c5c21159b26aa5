package mqtt

import (
	"time"

	"github.com/tidwall/gjson"

	"fieldbridge/bridge"
)

// message is what a sensor published.
type message struct {
	topic   string
	payload []byte // read-only; nothing keeps it
	at      time.Time
}

// ingest makes readings of a message and emits them. safe, if not nil, is
// called exactly once: when the readings are safe, or at once if the message
// gives none, since sending it again would not help.
func (s *Source) ingest(r *router, m message, emit bridge.Emit, safe func(error)) {
	to := r.route(m.topic)
	if to.rule == nil {
		s.unmatched.Add(1)
	}
	readings := s.read(r, to, m)
	if len(readings) == 0 {
		if safe != nil {
			safe(nil)
		}
		return
	}
	emit(bridge.Batch{Device: to.name, At: m.at, Readings: readings}, safe)
}

// read returns the readings in m, none if it can't be read.
func (s *Source) read(r *router, to *route, m message) []bridge.Reading {
	if to.rule == nil {
		return nil
	}
	readings, f := to.read(m)
	if len(readings) > 0 && !r.note(to, m.at, readings) {
		readings, f = nil, faultDevices
	}
	if f != faultNone {
		s.fail(to, f, m)
	}
	return readings
}

// read returns the readings in m, and the fault if there is one: of the whole
// message, or of some of the readings.
func (to *route) read(m message) ([]bridge.Reading, fault) {
	switch {
	case to.fault != faultNone:
		return nil, to.fault
	case len(m.payload) == 0:
		// How MQTT takes a retained message back: no reading, but worth a count.
		return nil, faultEmpty
	case to.rule.single != nil:
		v := to.rule.single.value(jsonText(m.payload))
		return []bridge.Reading{{Point: to.single, Value: v}}, valueFault(v)
	}
	return to.rule.readJSON(m.payload)
}

// value reads a whole payload.
func (e *extract) value(text string) bridge.Value {
	return e.scaling.Apply(e.typ.parse(text))
}

// readJSON returns those of the rule's points that payload has.
func (r *rule) readJSON(payload []byte) ([]bridge.Reading, fault) {
	if f := jsonFault(payload); f != faultNone {
		return nil, f
	}
	text, worst := jsonText(payload), faultNone
	readings := make([]bridge.Reading, 0, len(r.points))
	for i := range r.points {
		p := &r.points[i]
		v, present := p.typ.jsonValue(gjson.Get(text, p.path))
		if !present {
			continue
		}
		v = p.scaling.Apply(v)
		if f := valueFault(v); f != faultNone {
			worst = f
		}
		readings = append(readings, bridge.Reading{Point: p.info.Name, Value: v})
	}
	if len(readings) == 0 {
		return nil, faultMissing
	}
	return readings, worst
}

// fail counts and logs that m, or a value in it, could not be read.
func (s *Source) fail(to *route, f fault, m message) {
	to.rule.faults.add(s.log, f, to.rule.name, m.topic, m.payload, m.at)
	if d := to.device.Load(); d != nil {
		d.fail(m.topic + ": " + faultTexts[f])
	}
}
