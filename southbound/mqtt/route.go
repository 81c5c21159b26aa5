package mqtt

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/budget"
	"fieldbridge/condition"
	"fieldbridge/southbound/mqtt/attendance"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/naming"
	"fieldbridge/southbound/mqtt/payload"
	"fieldbridge/southbound/mqtt/sparkplug"
	"fieldbridge/southbound/mqtt/weigh"
)

// route is what becomes of the messages of one topic: it is found once and
// kept, since rules are slow to try and topics come again.
type route struct {
	rule   *rule         // nil if no rule takes the topic
	fault  payload.Fault // why the rule cannot, although it matches
	device string        // what the device is called, which need not be a name; "" if the payload calls it
	single string        // what the single point is called; "" if the payload calls it
	// what the topic captured, if the payload has a part of a name
	captures []string
	spark    sparkplug.Topic

	topic string
	avail []attendee           // whose availability it is; mostly nil
	from  string               // who published there first
	feed  atomic.Pointer[feed] // nil until a message could be read
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
	to.topic, to.from = topic, from
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

// shed forgets all routes, which are found again when they are used, and has most bytes
// for them from now on. It returns how many that gives.
func (r *router) shed(most int64) (bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	bytes, _ = r.bytes.Used()
	for _, to := range r.routes {
		r.bytes.Drop(to.from)
	}
	clear(r.routes)
	r.bytes.Resize(most)
	return bytes
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
	to := r.match(topic)
	to.avail = r.attendees(topic)
	return to
}

func (r *router) match(topic string) *route {
	var captures []string
	for _, rule := range r.rules {
		found, ok := rule.filter.Match(topic, captures[:0])
		captures = found
		if ok && rule.config.Ignore {
			return &route{rule: rule}
		}
		if ok && sparkplug.Built && rule.sparkplug {
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
	if !allUsable(captures) {
		to.fault = payload.FaultName
		return to
	}
	if rule.device.Paths() == nil {
		to.device = rule.device.Expand(captures)
	}
	if rule.payload.Single() && rule.point.Paths() == nil {
		to.single = rule.point.Expand(captures)
	}
	to.captures = slices.Clone(captures)
	return to
}

// Device returns what the device is called by what the payload says.
func (to *route) Device(read []string) string {
	if !readUsable(read) {
		return ""
	}
	return to.rule.device.Expand(to.captures, read...)
}

// Point returns what the point is called by what the payload says.
func (to *route) Point(read []string) string {
	if !readUsable(read) {
		return ""
	}
	return to.rule.point.Expand(to.captures, read...)
}

func resolveSparkplug(rule *rule, topic string) *route {
	t, ok := sparkplug.ParseTopic(topic)
	if !ok {
		return &route{} // STATE and commands: no rule wants them
	}
	groups := rule.filter.Wild(1)
	to := &route{rule: rule, spark: t, device: t.Name(groups)}
	if !usable(t.Node) || t.Device != "" && !usable(t.Device) || to.device == "" {
		to.fault = payload.FaultName
	}
	return to
}

// note remembers what was read under a route, and takes out what may not be: a
// rule makes only so many devices, and a device has only so many points. The
// catalogue is told of points that were not seen before, so that whoever gets
// the readings finds them there.
// It returns the feed, nil if there is none.
func (r *router) note(to *route, m inlet.Message, out *payload.Result) (*feed, payload.Fault) {
	f := to.feed.Load()
	original := cmp.Or(to.device, out.Device)
	if f == nil || f.device.original != original || f.device.gone.Load() {
		if f = r.devices.feed(original, to.rule, r.broker); f == nil {
			out.Readings = nil
			return nil, payload.FaultDevices
		}
		to.feed.Store(f)
	}
	out.Originals = out.Originals || to.single != ""
	info := func(point bridge.Reading, original string) bridge.PointInfo {
		info := to.rule.payload.Info(point)
		if sparkplug.Built && to.rule.sparkplug {
			r.describe(to, original, &info)
		}
		return info
	}
	added, full, apart := f.note(to.sign(&m), out, info)
	if apart != nil {
		r.devices.names.toldApart(f.device.name, apart)
	}
	if added {
		r.devices.publish(f.device)
	}
	if full {
		return f, payload.FaultPoints
	}
	return f, payload.FaultNone
}

// describe adds what the births of a Sparkplug device say of a point.
func (r *router) describe(to *route, metric string, info *bridge.PointInfo) {
	if n := r.nodes.Node(to.spark); n != nil {
		n.Describe(to.spark.Device, metric, info)
	}
}

// born returns when the device of a route was heard first; zero if that was before
// this run, or is not known.
func (to *route) born() time.Time {
	f := to.feed.Load()
	if f == nil {
		return time.Time{}
	}
	f.device.mu.Lock()
	defer f.device.mu.Unlock()
	return f.Born()
}

// sign returns what a message says of a device being there.
func (to *route) sign(m *inlet.Message) attendance.Sign {
	return attendance.Sign{Topic: to.topic, From: to.from, At: m.At, Stale: m.Retained && !to.rule.retainedCounts()}
}

// quiet reports whether nothing comes from the device of a route any more.
func (to *route) quiet() bool {
	f := to.feed.Load()
	if f == nil {
		return true
	}
	f.device.mu.Lock()
	defer f.device.mu.Unlock()
	_, quiet := f.Quiet()
	return quiet
}

// name returns the name of the device of a route, as far as that is known.
func (to *route) name() string {
	if f := to.feed.Load(); f != nil {
		return f.device.name
	}
	return naming.Device(to.device)
}
