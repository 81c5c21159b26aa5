package mqtt

import (
	"slices"
	"strings"
	"sync"
	"time"

	"fieldbridge/bridge"
)

// device is a device that was heard of.
type device struct {
	name, broker string

	mu     sync.Mutex
	points map[string]*slot // guarded by mu
	last   time.Time        // guarded by mu; the last good reading
	detail string           // guarded by mu; the last fault, in full
	rules  []string         // guarded by mu; the sensors that feed it
}

// slot is the state of one point of a device.
type slot struct {
	info bridge.PointInfo
	good bool          // guarded by the device's mu
	bad  bridge.Reason // guarded by the device's mu; valid if not good
}

// note remembers what was read, and reports whether there are points that were
// not seen before; info tells about those.
func (d *device) note(at time.Time, readings []bridge.Reading, info func(bridge.Reading) bridge.PointInfo) (added bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range readings {
		s := d.points[r.Point]
		if s == nil {
			s = &slot{info: info(r)}
			d.points[r.Point] = s
			added = true
		}
		if s.good = r.Value.Good(); s.good {
			d.last = at
		} else {
			s.bad = r.Value.Reason()
		}
	}
	return added
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
		if p.good {
			s.Good++
			continue
		}
		s.Bad++
		reasons[p.bad]++
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

// get returns the device called name for a rule, nil if the rule has limit
// devices already.
func (ds *devices) get(name, rule, broker string, limit int) *device {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	d := ds.byName[name]
	if d != nil && slices.Contains(d.rules, rule) {
		return d
	}
	if ds.counts[rule] >= limit {
		return nil
	}
	ds.counts[rule]++
	if d == nil {
		d = &device{name: name, broker: broker, points: make(map[string]*slot)}
		ds.byName[name] = d
	}
	d.mu.Lock()
	d.rules = append(d.rules, rule)
	d.mu.Unlock()
	return d
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
		if !slices.ContainsFunc(d.rules, func(r string) bool { return slices.Contains(rules, r) }) {
			continue
		}
		for _, r := range d.rules {
			ds.counts[r]--
		}
		delete(ds.byName, name)
		if ds.catalogue != nil {
			ds.catalogue.Remove(name)
		}
	}
}

func (ds *devices) status() []bridge.DeviceStatus {
	ds.mu.Lock()
	all := make([]*device, 0, len(ds.byName))
	for _, d := range ds.byName {
		all = append(all, d)
	}
	ds.mu.Unlock()
	list := make([]bridge.DeviceStatus, len(all))
	for i, d := range all {
		list[i] = d.status()
	}
	slices.SortFunc(list, func(a, b bridge.DeviceStatus) int { return strings.Compare(a.Device, b.Device) })
	return list
}
