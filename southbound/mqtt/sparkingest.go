package mqtt

import (
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/payload"
)

// binding is what a Sparkplug device is known by here.
type binding struct {
	device string // what it is called
	rule   *rule
}

// readSparkplug returns what a Sparkplug message says, as batches: there may be
// several times in it, and the end of a node is that of its devices.
func (r *router) readSparkplug(to *route, text []byte, m inlet.Message) ([]bridge.Batch, payload.Fault) {
	n := r.nodes.Node(to.spark)
	if n == nil {
		return nil, payload.FaultDevices
	}
	a := n.Take(to.spark, binding{to.device, to.rule}, text, m.At)
	if a.Rebirth != nil {
		r.publish(a.Topic, a.Rebirth)
	}
	v := verdict{fault: a.Fault}
	batches := r.batches(to, m, a.Results, &v)
	return append(batches, r.offline(a.Dead, m.At)...), v.fault
}

// batches remembers the results of one message and makes batches of them, and lets the
// devices know what could not be read of them. v is how the message was so far.
func (r *router) batches(to *route, m inlet.Message, results []payload.Result, v *verdict) (all []bridge.Batch) {
	for _, out := range results {
		at := -1
		if payload.Exact {
			at = slices.IndexFunc(out.Readings, func(r bridge.Reading) bool { return r.Point == out.Point })
		}
		n := len(out.Readings)
		feed, full := r.note(to, m, &out)
		if at >= 0 && n == len(out.Readings) {
			out.Point = out.Readings[at].Point // what it is called here
		}
		if out.Fault == payload.FaultNone {
			out.Fault, out.Point = full, ""
		}
		if out.Fault != payload.FaultNone && feed != nil {
			feed.fail(to.sign(&m), out.Fault, out.Point)
			if !v.blamed && out.Fault == v.fault {
				v.point, v.label = out.Point, place(v.label, out.Point)
			}
			v.blamed = true
		}
		if full != payload.FaultNone {
			v.fault, v.label = full, ""
		}
		if len(out.Readings) > 0 {
			all = append(all, bridge.Batch{Device: feed.device.name, At: out.At, Readings: out.Readings})
		}
	}
	return all
}

// place puts together where in a payload something is.
func place(where, point string) string {
	if where == "" || point == "" {
		return where + point
	}
	return where + ", " + point
}

// offline makes the points of devices that say goodbye bad.
func (r *router) offline(dead []binding, at time.Time) []bridge.Batch {
	var batches []bridge.Batch
	for _, b := range dead {
		if f := r.devices.known(b.device, b.rule); f != nil {
			if readings := f.gone(at); len(readings) > 0 {
				batches = append(batches, bridge.Batch{Device: f.device.name, At: at, Readings: readings})
			}
		}
	}
	return batches
}

// emitAll emits the batches of one message; safe is called when all are safe,
// with the first error. held is that of the message.
func emitAll(batches []bridge.Batch, held int32, emit bridge.Emit, safe func(error)) {
	switch {
	case safe != nil && len(batches) == 0:
		safe(nil)
	case safe != nil && len(batches) > 1:
		safe = bridge.JoinSafe(len(batches), safe)
	}
	for _, b := range batches {
		b.Held = held
		emit(b, safe)
	}
}
