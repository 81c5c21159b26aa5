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

// maxPoints is how many points a device may have: payloads name points, too.
const maxPoints = 1000

// device is a device that was heard of.
type device struct {
	name, broker string
	gone         atomic.Bool // forgotten: routes must ask for it anew

	mu     sync.Mutex
	points map[string]*pointState // guarded by mu
	feeds  []*feed                // guarded by mu
	last   time.Time              // guarded by mu; the last good reading
	detail string                 // guarded by mu; the last fault, in full
}

// pointState is what is known of one point of a device.
type pointState struct {
	info  bridge.PointInfo
	feed  *feed        // guarded by the device's mu; that read it last
	value bridge.Value // guarded by the device's mu; the last one
}

// feed is a rule that has read a device.
type feed struct {
	device *device
	rule   *rule
	heard  time.Time // guarded by the device's mu; the last message
	told   time.Time // guarded by the device's mu; when it was last said to be silent; zero if it is not
}

// note remembers what was read, and takes out the points that are too many.
// It reports whether there are points that were not seen before; info tells
// about those.
func (f *feed) note(at time.Time, out *payload.Result, info func(bridge.Reading) bridge.PointInfo) (added, full bool) {
	d := f.device
	d.mu.Lock()
	defer d.mu.Unlock()
	f.heard, f.told = at, time.Time{}
	kept := out.Readings[:0]
	for _, r := range out.Readings {
		s := d.points[r.Point]
		if s == nil {
			if len(d.points) >= maxPoints {
				full = true
				continue
			}
			s = &pointState{info: info(r)}
			d.points[r.Point] = s
			added = true
		}
		s.feed = f
		s.value = r.Value
		if r.Value.Good() {
			d.last = at
		}
		kept = append(kept, r)
	}
	out.Readings = kept
	return added, full
}

func (d *device) fail(detail string) {
	d.mu.Lock()
	d.detail = detail
	d.mu.Unlock()
}

// info returns what the catalogue is told.
func (d *device) info() bridge.DeviceInfo {
	d.mu.Lock()
	defer d.mu.Unlock()
	info := bridge.DeviceInfo{Device: d.name}
	for _, s := range d.points {
		info.Points = append(info.Points, s.info)
	}
	return info
}

func (d *device) status() bridge.DeviceStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := bridge.DeviceStatus{Device: d.name, Via: "mqtt " + d.broker, Last: d.last, Detail: d.detail}
	reasons := make(map[bridge.Reason]int)
	for _, p := range d.points {
		if p.value.Good() {
			s.Good++
			continue
		}
		s.Bad++
		reasons[p.value.Reason()]++
	}
	most := 0
	for r, n := range reasons {
		if n > most || n == most && r.String() < s.Reason {
			most, s.Reason = n, r.String()
		}
	}
	return s
}

// devices are all that were heard of, by name.
type devices struct {
	catalogue *bridge.Catalogue // may be nil
	telling   sync.Mutex        // orders what the catalogue is told

	mu     sync.Mutex
	byName map[string]*device // guarded by mu
	counts map[string]int     // guarded by mu; by rule
}

func newDevices(c *bridge.Catalogue) *devices {
	return &devices{catalogue: c, byName: make(map[string]*device), counts: make(map[string]int)}
}

// feed returns how a rule reads the device called name, nil if the rule has as
// many devices as it may.
func (ds *devices) feed(name string, r *rule, broker string) *feed {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	d := ds.byName[name]
	if f := d.feed(r); f != nil {
		return f
	}
	if ds.counts[r.name] >= r.limit {
		return nil
	}
	ds.counts[r.name]++
	if d == nil {
		d = &device{name: name, broker: broker, points: make(map[string]*pointState)}
		ds.byName[name] = d
	}
	f := &feed{device: d, rule: r}
	d.mu.Lock()
	d.feeds = append(d.feeds, f)
	d.mu.Unlock()
	return f
}

// known returns how a rule reads the device called name, nil if it did not yet.
func (ds *devices) known(name string, r *rule) *feed {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return ds.byName[name].feed(r)
}

// feed returns how a rule reads d, which may be nil. Feeds are added under the
// lock of all devices, which the caller holds.
func (d *device) feed(r *rule) *feed {
	if d == nil {
		return nil
	}
	for _, f := range d.feeds {
		if f.rule == r {
			return f
		}
	}
	return nil
}

// publish tells the catalogue about d.
func (ds *devices) publish(d *device) {
	if ds.catalogue == nil {
		return
	}
	ds.telling.Lock()
	defer ds.telling.Unlock()
	ds.catalogue.Put(d.info())
}

// forget takes out the devices that any of the rules feeds: they come back with
// their next message, as the new rules say.
func (ds *devices) forget(rules []string) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for name, d := range ds.byName {
		if !slices.ContainsFunc(d.feeds, func(f *feed) bool { return slices.Contains(rules, f.rule.name) }) {
			continue
		}
		for _, f := range d.feeds {
			ds.counts[f.rule.name]--
		}
		delete(ds.byName, name)
		d.gone.Store(true)
		if ds.catalogue != nil {
			ds.catalogue.Remove(name)
		}
	}
}

// all returns the devices sorted by name.
func (ds *devices) all() []*device {
	ds.mu.Lock()
	all := slices.Collect(maps.Values(ds.byName))
	ds.mu.Unlock()
	slices.SortFunc(all, func(a, b *device) int { return strings.Compare(a.name, b.name) })
	return all
}

func (ds *devices) status() []bridge.DeviceStatus {
	var list []bridge.DeviceStatus
	for _, d := range ds.all() {
		list = append(list, d.status())
	}
	return list
}
