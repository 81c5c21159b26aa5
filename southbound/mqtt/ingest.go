package mqtt

import (
	"time"

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
	switch {
	case to.rule == nil:
		s.unmatched.Add(1)
		to.seen(m, faultNone, "")
	case to.rule.sparkplug && to.fault == faultNone:
		batches, f := s.readSparkplug(r, to, m)
		s.judge(to, m, f, batches...)
		emitAll(batches, emit, safe)
		return
	case to.rule.csv && to.fault == faultNone && len(m.payload) > 0:
		results, f := to.rule.readCSV(m)
		batches, f := r.batches(to, m.at, results, f)
		s.judge(to, m, f, batches...)
		emitAll(batches, emit, safe)
		return
	default:
		if b := s.read(r, to, m); len(b.Readings) > 0 {
			emit(b, safe)
			return
		}
	}
	if safe != nil {
		safe(nil)
	}
}

// read returns the readings in m, none if it can't be read.
func (s *Source) read(r *router, to *route, m message) bridge.Batch {
	out, f := to.read(m)
	if len(out.readings) > 0 {
		if nf := r.note(to, m.at, &out); nf != faultNone {
			f = nf
		}
	}
	b := bridge.Batch{Device: to.name, At: out.at, Readings: out.readings}
	if f == faultNone {
		to.seen(m, faultNone, "")
	} else {
		s.judge(to, m, f, b)
	}
	return b
}

// judge remembers how a message was that was read as batches. It counts and logs
// that it, or a value in it, could not be read.
func (s *Source) judge(to *route, m message, f fault, batches ...bridge.Batch) {
	point := ""
	if f != faultNone {
		point = faulty(batches, f)
		to.rule.faults.add(s.log, f, to.rule.name, point, m)
		if feed := to.feed.Load(); feed != nil {
			feed.device.fail(m.topic + ": " + f.text(point))
		}
	}
	to.seen(m, f, point)
}

// faulty returns the point whose value has a fault, "" if it is none of a value.
func faulty(batches []bridge.Batch, f fault) string {
	for _, b := range batches {
		for _, r := range b.Readings {
			if valueFault(r.Value) == f {
				return r.Point
			}
		}
	}
	return ""
}
