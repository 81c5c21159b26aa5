package sparkplug

import (
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/payload"
)

// forgetLocked forgets what the births of the node and its devices said.
func (n *Node[B]) forgetLocked() {
	count := len(n.aliases)
	for _, metrics := range n.metrics {
		count += len(metrics)
	}
	n.learned.Add(int64(-count))
	clear(n.aliases)
	clear(n.metrics)
}

// learnLocked takes over what a birth says about a device.
func (n *Node[B]) learnLocked(device string, p message) payload.Fault {
	n.learned.Add(int64(-len(n.metrics[device])))
	metrics := make(map[string]known)
	n.metrics[device] = metrics
	worst := payload.FaultNone
	room := func() bool {
		if n.learned.Load() >= maxLearned {
			worst = payload.FaultPoints
			return false
		}
		n.learned.Add(1)
		return true
	}
	learn := func(name string, k known) {
		if _, twice := metrics[name]; twice || room() {
			metrics[name] = k
		}
	}
	var values leaves
	for _, m := range p.metrics {
		if _, twice := n.aliases[m.alias]; m.hasAlias && m.name != "" && (twice || room()) {
			n.aliases[m.alias] = m.name
		}
		if m.name == "" || control(m.name) {
			continue
		}
		if _, one := types[m.datatype]; !one {
			learn(m.name, known{datatype: m.datatype})
			if !several(m.datatype) {
				worst = payload.FaultUnsupported
				continue
			}
		}
		values.add(m, m.datatype, 0)
	}
	for _, v := range values.all {
		if typ, ok := types[v.datatype]; ok {
			learn(v.name, known{v.datatype, true, typ})
		}
	}
	return worst
}

// readLocked returns the readings in a message, one result for each time that it
// speaks of. The fault is [payload.FaultAlias] if the births do not say what a
// metric is.
func (n *Node[B]) readLocked(device string, p message, arrival time.Time) ([]payload.Result, payload.Fault) {
	metrics := n.metrics[device]
	var values leaves
	unknown := false
	for _, m := range p.metrics {
		if m.name == "" && m.hasAlias {
			m.name = n.aliases[m.alias]
			unknown = unknown || m.name == ""
		}
		if m.name == "" || control(m.name) {
			continue
		}
		if k, ok := metrics[m.name]; ok {
			m.datatype = k.datatype
		}
		unknown = unknown || m.datatype == 0
		values.add(m, m.datatype, 0)
	}
	var all results
	worst := values.fault
	for _, m := range values.all {
		k, ok := metrics[m.name]
		if !ok {
			k.typ, ok = types[m.datatype]
			k.value = ok
		}
		if !ok || !k.value {
			continue // no value
		}
		v := m.value(k.typ)
		if f := payload.ValueFault(v); f != payload.FaultNone {
			worst = f
		}
		at, believed := timeOf(m.timestamp, p.timestamp, arrival)
		if !believed && worst == payload.FaultNone {
			worst = payload.FaultTime
		}
		all.place(at, bridge.Reading{Point: m.name, Value: v})
	}
	if unknown && n.born {
		worst = payload.FaultAlias
	}
	return all.all, worst
}

// results are readings by time.
type results struct {
	all  []payload.Result
	have map[string]struct{} // the points of the last
}

// place puts a reading into the last result if it is of the same time and does
// not have the point yet, else into a new one.
func (rs *results) place(at time.Time, r bridge.Reading) {
	n := len(rs.all) - 1
	if _, twice := rs.have[r.Point]; n < 0 || twice || !rs.all[n].At.Equal(at) {
		rs.all, rs.have = append(rs.all, payload.Result{At: at, Originals: true}), make(map[string]struct{})
		n++
	}
	rs.have[r.Point] = struct{}{}
	rs.all[n].Readings = append(rs.all[n].Readings, r)
}

// timeOf returns the first of the times, in ms since 1970, that can be believed,
// else that of arrival, and whether there is one or none is given.
func timeOf(metric, whole uint64, arrival time.Time) (at time.Time, believed bool) {
	for _, ms := range []uint64{metric, whole} {
		if t := time.UnixMilli(int64(ms)).UTC(); ms < 1<<62 && payload.Believable(t, arrival) {
			return t, true
		}
	}
	return arrival, metric == 0 && whole == 0
}
