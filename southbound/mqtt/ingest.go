package mqtt

import (
	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/payload"
)

// ingest makes readings of a message and emits them. safe, if not nil, is
// called exactly once: when the readings are safe, or at once if the message
// gives none, since sending it again would not help.
func (s *Source) ingest(r *router, m inlet.Message, emit bridge.Emit, safe func(error)) {
	to := r.route(m.Topic, m.From)
	switch {
	case to.rule == nil:
		s.unmatched.Add(1)
		to.seen(m, payload.FaultNone, "")
	case to.rule.sparkplug && to.fault == payload.FaultNone:
		batches, f := r.readSparkplug(to, m)
		s.judge(to, m, f, batches...)
		emitAll(batches, m.Held, emit, safe)
		return
	case to.rule.payload.Lines() && to.fault == payload.FaultNone:
		results, f := to.rule.payload.ReadLines(m.Payload, m.At)
		batches, f := r.batches(to, m.At, results, f)
		s.judge(to, m, f, batches...)
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

// read returns the readings in m, none if it cannot be read.
func (s *Source) read(r *router, to *route, m inlet.Message) bridge.Batch {
	out, f := payload.Result{}, to.fault
	if f == payload.FaultNone {
		out, f = to.rule.payload.Read(to.single, m.Payload, m.At)
	}
	if len(out.Readings) > 0 {
		if nf := r.note(to, m.At, &out); nf != payload.FaultNone {
			f = nf
		}
	}
	b := bridge.Batch{Device: to.name, At: out.At, Readings: out.Readings}
	if f == payload.FaultNone {
		to.seen(m, payload.FaultNone, "")
	} else {
		s.judge(to, m, f, b)
	}
	return b
}

// judge remembers how a message was that was read as batches. It counts and logs
// that it, or a value in it, could not be read.
func (s *Source) judge(to *route, m inlet.Message, f payload.Fault, batches ...bridge.Batch) {
	point := ""
	if f != payload.FaultNone {
		point = faulty(batches, f)
		to.rule.faults.add(s.log, f, to.rule.name, point, m)
		if feed := to.feed.Load(); feed != nil {
			feed.device.fail(m.Topic + ": " + f.Text(point))
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
