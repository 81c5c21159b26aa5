package mqtt

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/payload"
)

// sparkTopic is what a Sparkplug topic says: spBv1.0/GROUP/TYPE/NODE[/DEVICE].
type sparkTopic struct {
	group, kind, node, device string
}

const sparkNamespace = "spBv1.0"

// parseSparkTopic returns false for what is no message of a node or device.
func parseSparkTopic(topic string) (sparkTopic, bool) {
	parts := strings.Split(topic, "/")
	if len(parts) < 4 || len(parts) > 5 || parts[0] != sparkNamespace {
		return sparkTopic{}, false
	}
	t := sparkTopic{group: parts[1], kind: parts[2], node: parts[3]}
	if len(parts) == 5 {
		t.device = parts[4]
	}
	switch t.kind {
	case "NBIRTH", "NDATA", "NDEATH":
		return t, len(parts) == 4
	case "DBIRTH", "DDATA", "DDEATH":
		return t, len(parts) == 5
	}
	return t, false
}

// name returns the name of the device: NODE for a node, NODE.DEVICE for a device
// of it; GROUP first if the rule takes several groups.
func (t sparkTopic) name(groups bool) string {
	name := t.node
	if t.device != "" {
		name += "." + t.device
	}
	if groups {
		name = t.group + "." + name
	}
	return deviceName(name)
}

// sparkNode is an edge node: what its births said, and what comes next.
type sparkNode struct {
	topic   sparkTopic
	publish func(topic string, payload []byte)
	learned *atomic.Int64 // of the router

	mu      sync.Mutex
	born    bool                        // guarded by mu
	birth   uint64                      // guarded by mu; the bdSeq of its birth
	seq     uint64                      // guarded by mu; of the last message
	aliases map[uint64]string           // guarded by mu; names of metrics of the node and its devices
	metrics map[string]map[string]known // guarded by mu; by device ("" is the node) and metric
	routes  map[string]*route           // guarded by mu; by device
	asked   time.Time                   // guarded by mu; for a rebirth
}

// known is a metric that a birth named, or one of its values.
type known struct {
	datatype uint64
	point    string // "" if it is no value
	typ      payload.Type
}

// maxLearned is how many names and aliases of metrics are remembered for one
// broker.
const maxLearned = 200_000

// rebirthEvery is how often a node is asked for its birth at most: it takes time
// to answer.
const rebirthEvery = 30 * time.Second

// take reads a message of the node or one of its devices. It returns batches
// without a device's name for the route's device, and what is wrong.
func (n *sparkNode) take(to *route, m message) ([]payload.Result, payload.Fault) {
	p, err := parseSparkplug(m.payload)
	if err != nil {
		return nil, payload.FaultSparkplug
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	kind, device := to.spark.kind, to.spark.device
	if kind == "NBIRTH" {
		n.born, n.seq, n.birth = true, p.seq, p.birth()
		n.forgetLocked()
	}
	if kind != "DDEATH" && !n.keepLocked(device, to) {
		return nil, payload.FaultDevices
	}
	worst := n.followLocked(kind, p, m.at)
	switch kind {
	case "NBIRTH", "DBIRTH":
		if f := n.learnLocked(device, p); f != payload.FaultNone {
			worst = f
		}
	case "DDEATH":
		return nil, worst
	}
	out, f := n.readLocked(device, p, m)
	if f == payload.FaultAlias {
		n.askLocked(m.at)
	}
	if f != payload.FaultNone {
		worst = f
	}
	return out, worst
}

// keepLocked remembers a device of the node, if there is room.
func (n *sparkNode) keepLocked(device string, to *route) bool {
	if n.routes[device] == nil && len(n.routes) >= maxNodes {
		return false
	}
	n.routes[device] = to
	return true
}

// followLocked checks that no message is missing: all but NDEATH are numbered
// from 0 to 255 and round again.
func (n *sparkNode) followLocked(kind string, p sparkMessage, now time.Time) payload.Fault {
	switch {
	case !n.born:
		// We came later than its birth: names and types are not known.
		n.askLocked(now)
		return payload.FaultUnborn
	case kind == "NBIRTH":
		return payload.FaultNone
	case !p.hasSeq || p.seq != (n.seq+1)%256:
		n.seq = p.seq
		n.askLocked(now)
		return payload.FaultGap
	}
	n.seq = p.seq
	return payload.FaultNone
}

func (n *sparkNode) askLocked(now time.Time) {
	if !n.asked.IsZero() && now.Sub(n.asked) < rebirthEvery {
		return
	}
	n.asked = now
	n.publish(sparkNamespace+"/"+n.topic.group+"/NCMD/"+n.topic.node, rebirth(now.UnixMilli()))
}

// died is told of the node's death, and returns the routes of all its devices.
// A death that belongs to an earlier birth, a late last will, is none.
func (n *sparkNode) died(m message) ([]*route, payload.Fault) {
	p, err := parseSparkplug(m.payload)
	if err != nil {
		return nil, payload.FaultSparkplug
	}
	n.mu.Lock()
	late := n.born && p.birth() != n.birth
	n.mu.Unlock()
	if late {
		return nil, payload.FaultNone
	}
	return n.dead(sparkTopic{}), payload.FaultNone
}

// dead returns the routes of the devices that end with a death: of the node all,
// else one.
func (n *sparkNode) dead(t sparkTopic) []*route {
	n.mu.Lock()
	defer n.mu.Unlock()
	if t.device != "" {
		if to := n.routes[t.device]; to != nil {
			return []*route{to}
		}
		return nil
	}
	n.born = false
	var all []*route
	for _, device := range slices.Sorted(maps.Keys(n.routes)) {
		all = append(all, n.routes[device])
	}
	return all
}

// describe adds to what the catalogue is told of a device's point.
func (n *sparkNode) describe(device string, info *bridge.PointInfo) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, k := range n.metrics[device] {
		if k.point == info.Name {
			info.Type = k.typ.Name
		}
	}
}
