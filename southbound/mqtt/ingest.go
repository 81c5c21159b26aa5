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
	case sparkplug.Built && to.rule.sparkplug:
		batches, f = r.readSparkplug(to, text, m)
	default:
		var results []payload.Result
		results, f = to.rule.payload.ReadSeveral(to.single, text, m.At, to)
		batches, f = r.batches(to, m, results, f)
	}
	s.judge(to, m, text, f, batches...)
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
	s.judge(to, m, text, f, b)
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

// judge remembers how a message was whose text was read as batches. It counts and logs
// that it, or a value in it, could not be read.
func (s *Source) judge(to *route, m inlet.Message, text []byte, f payload.Fault, batches ...bridge.Batch) {
	point := ""
	if f != payload.FaultNone {
		point = faulty(batches, f)
		f = to.rule.payload.Explain(f, point, text)
		to.rule.faults.add(s.log, f, to.rule.name, point, m)
		feed := to.feed.Load()
		if feed == nil || feed.device.gone.Load() {
			feed = s.devices.known(to.device, to.rule)
		}
		if feed != nil {
			feed.fail(to.sign(m), f, point)
		} else {
			to.rule.spoil(f, m.At)
		}
	}
	to.seen(m, f, point)
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
