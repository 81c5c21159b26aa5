package mqtt

import (
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/payload"
	"fieldbridge/southbound/mqtt/sparkplug"
)

// ingest makes readings of a message and emits them. safe, if not nil, is
// called exactly once: when the readings are safe, or at once if the message
// gives none, since sending it again would not help.
func (s *Source) ingest(r *router, m inlet.Message, emit bridge.Emit, safe func(error)) {
	to := r.route(m.Topic, m.From)
	if to.avail != nil {
		news := r.attend(s.log, to, m)
		if to.rule == nil {
			emitAll(news, m.Held, emit, safe)
			return
		}
		emitAll(news, m.Held, emit, nil)
	}
	if to.rule != nil {
		to.rule.heard.note(m.At)
	}
	switch {
	case to.rule == nil:
		s.unmatched.Add(1)
		to.seen(m, payload.FaultNone, "")
	case to.rule.config.Ignore || m.Retained && to.rule.config.Retained == retainedIgnore:
		to.seen(m, payload.FaultNone, "")
	case to.rule.sparkplug || to.rule.payload.Several():
		batches := s.readSeveral(r, to, m)
		emitAll(batches, m.Held, emit, safe)
		return
	default:
		if b := s.read(r, to, m); len(b.Readings) > 0 {
			b.Held = m.Held
			emit(b, safe)
			return
		}
	}
	if safe != nil {
		safe(nil)
	}
}

// unpack returns the text of m, which itself stays as it was sent: people are shown
// that.
func (to *route) unpack(m *inlet.Message) ([]byte, payload.Fault) {
	if to.fault != payload.FaultNone {
		return nil, to.fault
	}
	return to.rule.payload.Unpack(m.Payload, m.Type)
}

// readSeveral returns the batches in m, none if it cannot be read.
func (s *Source) readSeveral(r *router, to *route, m inlet.Message) (batches []bridge.Batch) {
	text, f := to.unpack(&m)
	switch {
	case f != payload.FaultNone:
		s.judge(to, &m, verdict{fault: f})
	case sparkplug.Built && to.rule.sparkplug:
		batches, f = r.readSparkplug(to, text, m)
		point := faulty(batches, f)
		s.judge(to, &m, verdict{fault: f, point: point, label: point})
	default:
		var v verdict
		var results []payload.Result
		results, v.fault, v.label = to.rule.payload.ReadSeveral(to.single, text, m.At, to)
		batches = r.batches(to, m, results, &v)
		f = v.fault
		s.judge(to, &m, v)
	}
	if f.Unreadable() && len(batches) == 0 {
		if b := r.spoiled(to, m.At); len(b.Readings) > 0 {
			batches = append(batches, b)
		}
	}
	return batches
}

// read returns the readings in m, none if it cannot be read.
func (s *Source) read(r *router, to *route, m inlet.Message) bridge.Batch {
	var out payload.Result
	text, f := to.unpack(&m)
	if f == payload.FaultNone {
		out, f = to.rule.payload.Read(to.single, text, m.At)
	}
	b := bridge.Batch{At: out.At}
	if len(out.Readings) > 0 {
		feed, nf := r.note(to, m, &out)
		if nf != payload.FaultNone {
			f = nf
		}
		if feed != nil {
			b.Device, b.Readings = feed.device.name, out.Readings
		}
	}
	if f == payload.FaultNone {
		to.seen(m, payload.FaultNone, "")
		return b
	}
	point := faulty([]bridge.Batch{b}, f)
	s.judge(to, &m, verdict{fault: to.rule.payload.Explain(f, point, text), point: point, label: point})
	if f.Unreadable() && len(b.Readings) == 0 {
		return r.spoiled(to, m.At)
	}
	return b
}

// spoiled makes the points bad of a device whose message cannot be read at all:
// nobody may believe what they were before. Where the payload names its devices
// nobody knows whose they are.
func (r *router) spoiled(to *route, at time.Time) bridge.Batch {
	b := bridge.Batch{At: at}
	if f := r.devices.known(to.device, to.rule); f != nil {
		b.Device = f.device.name
		f.device.mu.Lock()
		b.Readings = f.badLocked(bridge.ReasonType)
		f.device.mu.Unlock()
	}
	return b
}

// verdict is how a message was.
type verdict struct {
	fault  payload.Fault
	point  string // that has the fault, "" if it is not in a value
	label  string // where it is, for people: as "element 2, t"
	blamed bool   // the devices know of it
}

// judge remembers how a message was. It counts and logs that it, or a value in it, could
// not be read, and lets the device know, if it is known which.
func (s *Source) judge(to *route, m *inlet.Message, v verdict) {
	if v.fault != payload.FaultNone {
		to.rule.faults.add(s.log, v.fault, to.rule.name, v.label, *m)
		if !v.blamed {
			s.blame(to, m, v)
		}
	}
	to.seen(*m, v.fault, v.label)
}

// blame lets the device of a topic know what is wrong with its message; where the
// payload says which it is, nobody knows.
func (s *Source) blame(to *route, m *inlet.Message, v verdict) {
	feed := to.feed.Load()
	if to.rule.payload.NamesDevice() {
		feed = nil
	} else if feed == nil || feed.device.gone.Load() {
		feed = s.devices.known(to.device, to.rule)
	}
	if feed == nil {
		to.rule.spoil(v.fault, m.At)
		return
	}
	feed.fail(to.sign(m), v.fault, v.point)
}

// faulty returns the point whose value has a fault, "" if the fault is not in a value.
func faulty(batches []bridge.Batch, f payload.Fault) string {
	for _, b := range batches {
		for _, r := range b.Readings {
			if payload.ValueFault(r.Value) == f {
				return r.Point
			}
		}
	}
	return ""
}
