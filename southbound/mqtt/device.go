package mqtt

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/attendance"
	"fieldbridge/southbound/mqtt/naming"
	"fieldbridge/southbound/mqtt/payload"
)

// maxPoints is how many points a device may have: payloads name points, too.
const maxPoints = 1000

// device is a device that was heard of.
type device struct {
	name, broker string
	original     string      // what it is called, of which the name is made
	gone         atomic.Bool // forgotten: routes must ask for it anew

	mu     sync.Mutex
	points map[string]*pointState // guarded by mu; by name
	book   naming.Book            // guarded by mu; of points whose names are not what they are called
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
	serial uint64 // in the order of the book
	charge string // guarded by the device's mu; what it said of its battery before it fell silent

	attendance.Presence // guarded by the device's mu
}

// note remembers what was read, makes names of what the points are called, and takes
// out the points that are too many. It reports whether there are points that were not
// seen before; info tells about those. apart are the names that were told apart, by
// what the points are called; nil is none.
func (f *feed) note(s attendance.Sign, out *payload.Result,
	info func(point bridge.Reading, original string) bridge.PointInfo) (added, full bool, apart map[string]string) {
	d := f.device
	d.mu.Lock()
	defer d.mu.Unlock()
	good := false
	kept := out.Readings[:0]
	for _, r := range out.Readings {
		original := r.Point
		if out.Originals {
			var rival string
			if r.Point, rival = d.nameLocked(original); rival != "" {
				apart = map[string]string{original: r.Point, rival: bridge.PointName(original)}
			}
		}
		p := d.points[r.Point]
		if p == nil {
			if len(d.points) >= maxPoints {
				full = true
				continue
			}
			p = &pointState{info: info(r, original)}
			if original != r.Point {
				p.info.Original = original
			}
			d.points[r.Point] = p
			added = true
		}
		p.feed = f
		p.value = r.Value
		if r.Value.Good() {
			d.last, good = s.At, true
		}
		kept = append(kept, r)
	}
	out.Readings = kept
	f.Hear(s, good)
	return added, full, apart
}

// nameLocked returns the name of what a payload or topic calls a point, and the
// point that it was told apart from just now.
func (d *device) nameLocked(original string) (name, rival string) {
	if p := d.points[original]; p != nil && p.info.Original == "" {
		return original, "" // nearly all: it has its own name, and no other can have got that
	}
	if name, ok := d.book.Name(original); ok {
		return name, ""
	}
	plain := bridge.PointName(original)
	owner, taken := d.book.Owner(plain)
	s := d.points[plain]
	if !taken && s != nil {
		owner, taken = cmp.Or(s.info.Original, plain), true
	}
	switch {
	case taken && owner != original && d.book.Len() < 2*maxPoints:
		return d.book.TellApart(original, plain, owner, naming.PointApart), owner
	case plain != original && len(d.points) < maxPoints:
		d.book.Put(strings.Clone(original), plain)
	}
	return plain, ""
}

// fail notes that the message on a route, or a part of it, could not be read.
func (f *feed) fail(s attendance.Sign, fault payload.Fault, point string) {
	f.device.mu.Lock()
	defer f.device.mu.Unlock()
	f.device.detail = s.Topic + ": " + fault.Text(point)
	f.Blame(s, fault, point)
}

// otherName returns what d is called, "" if that is its name.
func (d *device) otherName() string {
	if d.original == d.name {
		return ""
	}
	return d.original
}

// info returns what the catalogue is told.
func (d *device) info() bridge.DeviceInfo {
	d.mu.Lock()
	defer d.mu.Unlock()
	info := bridge.DeviceInfo{Device: d.name, Original: d.otherName()}
	for _, s := range d.points {
		info.Points = append(info.Points, s.info)
	}
	return info
}

func (d *device) status() bridge.DeviceStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := bridge.DeviceStatus{Device: d.name, Original: d.otherName(), Via: "mqtt " + d.broker, Last: d.last,
		Detail: d.detail}
	reasons := make(map[bridge.Reason]int)
	for _, p := range d.points {
		if p.value.Good() {
			s.Good++
			continue
		}
		s.Bad++
		reasons[p.value.Reason()]++
	}
	for _, f := range d.feeds {
		if since, ok := f.Quiet(); ok {
			s.Detail = "nothing has come since " + attendance.Moment(since)
		}
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
	names     *names
	catalogue *bridge.Catalogue // may be nil
	telling   sync.Mutex        // orders what the catalogue is told

	mu     sync.Mutex
	byName map[string]*device // guarded by mu
	counts map[string]int     // guarded by mu; by rule
	serial uint64             // guarded by mu; of the last feed
	rules  []*rule            // guarded by mu; all of them
}

func newDevices(c *bridge.Catalogue, n *names) *devices {
	return &devices{catalogue: c, names: n, byName: make(map[string]*device), counts: make(map[string]int)}
}

// feed returns how a rule reads what is called original, nil if the rule has as many
// devices as it may.
func (ds *devices) feed(original string, r *rule, broker string) *feed {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	d := ds.findLocked(original)
	if f := d.feed(r); f != nil {
		return f
	}
	if ds.counts[r.name] >= r.limit {
		return nil
	}
	ds.counts[r.name]++
	if d == nil {
		holder := ""
		if other := ds.byName[naming.Device(original)]; other != nil {
			holder = other.original
		}
		name := ds.names.name(original, holder)
		d = &device{name: name, original: original, broker: broker, points: make(map[string]*pointState),
			book: ds.names.book(name)}
		ds.byName[name] = d
	}
	ds.serial++
	f := &feed{device: d, rule: r, serial: ds.serial}
	d.mu.Lock()
	d.feeds = append(d.feeds, f)
	d.mu.Unlock()
	return f
}

// findLocked returns the device that is called original, nil if it was not heard of.
func (ds *devices) findLocked(original string) *device {
	if d := ds.byName[ds.names.plain(original)]; d != nil && d.original == original {
		return d
	}
	return nil
}

// known returns how a rule reads what is called original, nil if it did not yet.
func (ds *devices) known(original string, r *rule) *feed {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return ds.findLocked(original).feed(r)
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

// fedBy returns whether any of the rules feeds a device.
func fedBy(rules []string) func(*device) bool {
	return func(d *device) bool {
		return slices.ContainsFunc(d.feeds, func(f *feed) bool { return slices.Contains(rules, f.rule.name) })
	}
}

// forget takes out the devices that any of the rules feeds: they come back with
// their next message, as the new rules say.
func (ds *devices) forget(rules []string) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	fed := fedBy(rules)
	for _, d := range ds.byName {
		if fed(d) {
			ds.dropLocked(d)
		}
	}
}

// drop forgets a device, and reports whether it was known.
func (ds *devices) drop(name string) bool {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	d := ds.byName[name]
	if d == nil {
		return false
	}
	ds.dropLocked(d)
	return true
}

func (ds *devices) dropLocked(d *device) {
	for _, f := range d.feeds {
		ds.counts[f.rule.name]--
	}
	delete(ds.byName, d.name)
	d.gone.Store(true)
	if ds.catalogue != nil {
		ds.catalogue.Remove(d.name)
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
