package mqtt

import (
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/payload"
)

// maxNodes is how many Sparkplug edge nodes are followed at one broker, and how
// many devices of each.
const maxNodes = 1000

// sparkNode returns the edge node of a topic, nil if there are too many.
func (r *router) sparkNode(t sparkTopic) *sparkNode {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := t.group + "/" + t.node
	if n := r.nodes[key]; n != nil {
		return n
	}
	if len(r.nodes) >= maxNodes {
		return nil
	}
	n := &sparkNode{topic: t, publish: r.publish, learned: &r.learned, aliases: make(map[uint64]string),
		metrics: make(map[string]map[string]known), routes: make(map[string]*route)}
	r.nodes[key] = n
	return n
}

// readSparkplug returns what a Sparkplug message says, as batches: there may be
// several times in it, and the end of a node is that of its devices.
func (s *Source) readSparkplug(r *router, to *route, m message) ([]bridge.Batch, payload.Fault) {
	n := r.sparkNode(to.spark)
	if n == nil {
		return nil, payload.FaultDevices
	}
	if to.spark.kind == "NDEATH" {
		routes, f := n.died(m)
		return r.offline(routes, m.at), f
	}
	results, worst := n.take(to, m)
	batches, worst := r.batches(to, m.at, results, worst)
	if to.spark.kind == "DDEATH" {
		batches = r.offline(n.dead(to.spark), m.at)
	}
	return batches, worst
}

// batches remembers the results of one message and makes batches of them. f is
// their fault so far.
func (r *router) batches(to *route, at time.Time, results []payload.Result, f payload.Fault) ([]bridge.Batch, payload.Fault) {
	var all []bridge.Batch
	for _, out := range results {
		if nf := r.note(to, at, &out); nf != payload.FaultNone {
			f = nf
		}
		if len(out.Readings) > 0 {
			all = append(all, bridge.Batch{Device: to.name, At: out.At, Readings: out.Readings})
		}
	}
	return all, f
}

// offline makes the points of devices that say goodbye bad.
func (r *router) offline(routes []*route, at time.Time) []bridge.Batch {
	var batches []bridge.Batch
	for _, to := range routes {
		if f := r.devices.known(to.name, to.rule); f != nil {
			if readings := f.offline(); len(readings) > 0 {
				batches = append(batches, bridge.Batch{Device: to.name, At: at, Readings: readings})
			}
		}
	}
	return batches
}

// emitAll emits the batches of one message; safe is called when all are safe,
// with the first error.
func emitAll(batches []bridge.Batch, emit bridge.Emit, safe func(error)) {
	switch {
	case safe != nil && len(batches) == 0:
		safe(nil)
	case safe != nil && len(batches) > 1:
		safe = bridge.JoinSafe(len(batches), safe)
	}
	for _, b := range batches {
		emit(b, safe)
	}
}
