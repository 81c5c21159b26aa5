package mqtt

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/budget"
	"fieldbridge/condition"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/payload"
	"fieldbridge/southbound/mqtt/sparkplug"
	"fieldbridge/southbound/mqtt/weigh"
)

// route is what becomes of the messages of one topic: it is found once and
// kept, since rules are slow to try and topics come again.
type route struct {
	rule   *rule         // nil if no rule takes the topic
	fault  payload.Fault // why the rule cannot, although it matches
	name   string        // of the device
	single string        // name of the single point
	spark  sparkplug.Topic

	from string               // who published there first
	feed atomic.Pointer[feed] // nil until a message could be read
	sight
}

// maxRoutes bounds the topics that are remembered for one broker; the router's
// budget bounds their bytes.
const maxRoutes = 20000

// routeCost is about what a route takes beside its topic, in bytes.
const routeCost = 600

// router finds the routes of the messages of one broker. It is safe for
// concurrent use.
type router struct {
	broker  string
	rules   []*rule
	devices *devices
	publish func(topic string, payload []byte) // to the broker; does not wait
	nodes   *sparkplug.Nodes[binding]

	mu      sync.RWMutex
	routes  map[string]*route // guarded by mu; by topic
	crowded crowded           // guarded by mu
	bytes   *budget.Pool      // of routes, by who published there first
}

func newRouter(broker string, rules []*rule, ds *devices, publish func(topic string, payload []byte),
	memory int64) *router {
	return &router{broker: broker, rules: rules, devices: ds, publish: publish,
		routes: make(map[string]*route), nodes: sparkplug.NewNodes[binding](),
		bytes: budget.NewPool(memory)}
}

// route returns the route of topic, on which from has published.
func (r *router) route(topic, from string) *route {
	r.mu.RLock()
	to := r.routes[topic]
	r.mu.RUnlock()
	if to != nil {
		return to
	}
	topic = strings.Clone(topic) // or it keeps the packet
	to = r.find(topic)
	to.from = from
	if len(topic) > inlet.MaxTopic {
		return to // of a site broker: not worth the memory
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.routes[topic]; other != nil {
		return other
	}
	// A publisher that invents topics would fill memory; those in use are soon
	// found again.
	if cost := routeCost + int64(len(topic)); len(r.routes) >= maxRoutes || !r.bytes.Take(from, cost) {
		r.forgetLocked()
		r.bytes.Force(from, cost)
	}
	r.routes[topic] = to
	return to
}

// forgetLocked drops the routes of the publisher that has most of them.
func (r *router) forgetLocked() {
	who, n := r.bytes.Largest()
	for topic, to := range r.routes {
		if to.from == who {
			delete(r.routes, topic)
		}
	}
	r.bytes.Give(who, n)
	if time.Since(r.crowded.at) > crowdedFor {
		r.crowded.since = time.Now()
	}
	r.crowded.at, r.crowded.who = time.Now(), who
}

// crowded is who published on so many topics last that they were forgotten.
type crowded struct {
	who       string
	since, at time.Time
}

// crowdedFor is how long somebody is named after that.
const crowdedFor = time.Minute

// health names who publishes on too many topics.
func (r *router) health() (all []condition.Condition) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if time.Since(r.crowded.at) < crowdedFor {
		all = append(all, condition.SensorTakesMemory.At("mqtt "+r.broker+" topics", r.crowded.since,
			weigh.SessionName(r.crowded.who), "topics"))
	}
	return all
}

// find tries the rules in order.
func (r *router) find(topic string) *route {
	var captures []string
	for _, rule := range r.rules {
		found, ok := rule.filter.Match(topic, captures[:0])
		captures = found
		if ok && rule.sparkplug {
			return resolveSparkplug(rule, topic)
		}
		if ok {
			return r.resolve(rule, captures)
		}
	}
	return &route{}
}

// resolve fills in the names.
func (r *router) resolve(rule *rule, captures []string) *route {
	to := &route{rule: rule}
	for _, c := range captures {
		if !usable(c) {
			to.fault = payload.FaultName
			return to
		}
	}
	to.name = deviceName(rule.device.Expand(captures))
	if rule.payload.Single() {
		to.single = bridge.PointName(rule.point.Expand(captures))
	}
	return to
}

func resolveSparkplug(rule *rule, topic string) *route {
	t, ok := sparkplug.ParseTopic(topic)
	if !ok {
		return &route{} // STATE and commands: no rule wants them
	}
	groups := rule.filter.Wild(1)
	to := &route{rule: rule, spark: t, name: deviceName(t.Name(groups))}
	if !usable(t.Node) || t.Device != "" && !usable(t.Device) || to.name == "" {
		to.fault = payload.FaultName
	}
	return to
}

// note remembers what was read under a route, and takes out what may not be: a
// rule makes only so many devices, and a device has only so many points. The
// catalogue is told of points that were not seen before, so that whoever gets
// the readings finds them there.
func (r *router) note(to *route, at time.Time, out *payload.Result) payload.Fault {
	f := to.feed.Load()
	if f == nil || f.device.gone.Load() {
		if f = r.devices.feed(to.name, to.rule, r.broker); f == nil {
			out.Readings = nil
			return payload.FaultDevices
		}
		to.feed.Store(f)
	}
	info := to.rule.payload.Info
	if to.rule.sparkplug {
		info = r.sparkInfo(to)
	}
	added, full := f.note(at, out, info)
	if added {
		r.devices.publish(f.device)
	}
	if full {
		return payload.FaultPoints
	}
	return payload.FaultNone
}

// sparkInfo returns what the catalogue is told of the points of a Sparkplug
// device.
func (r *router) sparkInfo(to *route) func(bridge.Reading) bridge.PointInfo {
	return func(reading bridge.Reading) bridge.PointInfo {
		info := to.rule.payload.Info(reading)
		if n := r.nodes.Node(to.spark); n != nil {
			n.Describe(to.spark.Device, &info)
		}
		return info
	}
}
