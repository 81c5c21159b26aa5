package sparkplug

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/payload"
)

// maxNodes is how many edge nodes are followed at one broker, and how many
// devices of each.
const maxNodes = 1000

// Nodes are the edge nodes of one broker. B is what the caller ties to a device:
// it is kept, and given back when the device dies. Nodes and each [Node] are
// safe for concurrent use; no lock is held over anything that waits.
type Nodes[B any] struct {
	learned atomic.Int64 // names and aliases of metrics that are remembered

	mu    sync.Mutex
	nodes map[string]*Node[B] // guarded by mu; by group and node
}

// NewNodes returns no nodes yet.
func NewNodes[B any]() *Nodes[B] { return &Nodes[B]{nodes: make(map[string]*Node[B])} }

// Node returns the edge node of a topic, nil if there are too many.
func (ns *Nodes[B]) Node(t Topic) *Node[B] {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	key := t.Group + "/" + t.Node
	if n := ns.nodes[key]; n != nil {
		return n
	}
	if len(ns.nodes) >= maxNodes {
		return nil
	}
	n := &Node[B]{learned: &ns.learned, aliases: make(map[uint64]string),
		metrics: make(map[string]map[string]known), bound: make(map[string]B)}
	ns.nodes[key] = n
	return n
}

// Node is an edge node: what its births said, and what comes next.
type Node[B any] struct {
	learned *atomic.Int64 // of all nodes

	mu      sync.Mutex
	born    bool                        // guarded by mu
	birth   uint64                      // guarded by mu; the bdSeq of its birth
	seq     uint64                      // guarded by mu; of the last message
	aliases map[uint64]string           // guarded by mu; names of metrics of the node and its devices
	metrics map[string]map[string]known // guarded by mu; by device ("" is the node) and metric
	bound   map[string]B                // guarded by mu; by device
	asked   time.Time                   // guarded by mu; for a rebirth
}

// known is a metric that a birth named, or one of its values.
type known struct {
	datatype uint64
	value    bool // it has one
	typ      payload.Type
}

// maxLearned is how many names and aliases of metrics are remembered for one
// broker.
const maxLearned = 200_000

// rebirthEvery is how often a node is asked for its birth at most: it takes time
// to answer.
const rebirthEvery = 30 * time.Second

// Answer is what comes of a message.
type Answer[B any] struct {
	Results []payload.Result // of the device that the topic names, one for each time
	Fault   payload.Fault    // what is wrong, although there may be results
	Dead    []B              // the devices that are offline from now on
	// Rebirth is a command that asks the node for its birth, to be published on
	// Topic; nil if there is nothing to ask.
	Rebirth []byte
	Topic   string
}

// Take reads a message that arrived at the time at, of the node or one of its
// devices, to which bound is tied. Nothing in the answer points into body.
func (n *Node[B]) Take(t Topic, bound B, body []byte, at time.Time) Answer[B] {
	p, err := parse(body)
	if err != nil {
		return Answer[B]{Fault: payload.FaultSparkplug}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if t.Kind == "NDEATH" {
		return n.diedLocked(p)
	}
	if t.Kind == "NBIRTH" {
		n.born, n.seq, n.birth = true, p.seq, p.birth()
		n.forgetLocked()
	}
	if t.Kind != "DDEATH" && !n.keepLocked(t.Device, bound) {
		return Answer[B]{Fault: payload.FaultDevices}
	}
	var a Answer[B]
	var ask bool
	a.Fault, ask = n.followLocked(t.Kind, p)
	switch t.Kind {
	case "NBIRTH", "DBIRTH":
		if f := n.learnLocked(t.Device, p); f != payload.FaultNone {
			a.Fault = f
		}
		fallthrough
	case "NDATA", "DDATA":
		out, f := n.readLocked(t.Device, p, at)
		if f != payload.FaultNone {
			a.Fault = f
		}
		a.Results, ask = out, ask || f == payload.FaultAlias
	case "DDEATH":
		if b, ok := n.bound[t.Device]; ok {
			a.Dead = []B{b}
		}
	}
	if ask && n.mayAskLocked(at) {
		a.Topic, a.Rebirth = t.command(), rebirth(at.UnixMilli())
	}
	return a
}

// keepLocked remembers a device of the node, if there is room.
func (n *Node[B]) keepLocked(device string, bound B) bool {
	if _, ok := n.bound[device]; !ok && len(n.bound) >= maxNodes {
		return false
	}
	n.bound[device] = bound
	return true
}

// followLocked checks that no message is missing: all but NDEATH are numbered
// from 0 to 255 and round again. It reports whether the birth is needed.
func (n *Node[B]) followLocked(kind string, p message) (f payload.Fault, ask bool) {
	switch {
	case !n.born:
		// We came later than its birth: names and types are not known.
		return payload.FaultUnborn, true
	case kind == "NBIRTH":
		return payload.FaultNone, false
	}
	missing := !p.hasSeq || p.seq != (n.seq+1)%256
	n.seq = p.seq
	if missing {
		return payload.FaultGap, true
	}
	return payload.FaultNone, false
}

// mayAskLocked reports whether the node may be asked for its birth now.
func (n *Node[B]) mayAskLocked(now time.Time) bool {
	if !n.asked.IsZero() && now.Sub(n.asked) < rebirthEvery {
		return false
	}
	n.asked = now
	return true
}

// diedLocked is told of the node's death, which is that of all its devices. A
// death that belongs to an earlier birth, a late last will, does not count.
func (n *Node[B]) diedLocked(p message) Answer[B] {
	if n.born && p.birth() != n.birth {
		return Answer[B]{}
	}
	n.born = false
	var a Answer[B]
	for _, device := range slices.Sorted(maps.Keys(n.bound)) {
		a.Dead = append(a.Dead, n.bound[device])
	}
	return a
}

// Describe sets the type in what the catalogue is told of a device's metric, if the
// births said it.
func (n *Node[B]) Describe(device, metric string, info *bridge.PointInfo) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if k, ok := n.metrics[device][metric]; ok && k.value {
		info.Type = k.typ.Name
	}
}
