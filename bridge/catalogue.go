package bridge

import (
	"maps"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
)

// PointInfo is what the cloud is told about a point, once, so that readings
// need not repeat it.
type PointInfo struct {
	Name string
	// Original is what the device calls the point, if Name was made of that.
	Original string
	Type     string // "float32", "bool", ... as in the configuration
	Unit     string
	Enum     map[int64]string
	// Places is how many digits after the point its values have at most, if its scale says
	// so; 0 does not say. The cloud is not told.
	Places int
	// Delivery is when its readings are delivered; nil is each one.
	Delivery *Delivery
	// Thin is what its readings may become when the queue is nearly full; nil is nothing.
	Thin *Thin
}

// DeviceInfo is a device and its points, sorted by name.
type DeviceInfo struct {
	Device string
	// Original is what the device is called, if its name was made of that.
	Original string
	Points   []PointInfo
	Labels   map[string]string
}

// Catalogue is the list of devices and points that the gateway has. Sources
// put devices, the sink publishes them. The zero value is ready to use.
type Catalogue struct {
	mu      sync.Mutex
	devices map[string]DeviceInfo // guarded by mu
	rules   sync.Map              // device to map[string]*Delivery; only devices that have some
	thins   sync.Map              // device to map[string]*Thin; only devices that have some
	levels  atomic.Int32          // the most spans that a Thin has had
	last    []PointInfo           // guarded by mu; what is told of the points of the device that was put last
	ruled   []PointInfo           // guarded by mu; its points as they came
	rulesOf map[string]*Delivery  // guarded by mu; their deliveries that are not plain, nil for none
	thinsOf map[string]*Thin      // guarded by mu; what of them may be thinned, nil for nothing
	version uint64                // guarded by mu; grows with each change
	changed chan struct{}         // guarded by mu; closed at the next change
}

// Put adds or replaces a device. Putting the same again changes nothing. The cloud
// is told of a point with a report as what the report delivers. The catalogue keeps
// d's points if they are sorted by name, so that devices may share them: nobody may
// change them any more.
func (c *Catalogue) Put(d DeviceInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.putRulesLocked(d)
	d.Points = reported(d.Points)
	// Package sort has one copy for all types, slices one of 15 KB for this one.
	byName := func(i, j int) bool { return d.Points[i].Name < d.Points[j].Name }
	if !sort.SliceIsSorted(d.Points, byName) {
		d.Points = slices.Clone(d.Points)
		sort.Slice(d.Points, byName)
	}
	if old, ok := c.devices[d.Device]; ok && SameDevice(old, d) {
		return
	}
	if c.devices == nil {
		c.devices = make(map[string]DeviceInfo)
	}
	if slices.EqualFunc(c.last, d.Points, samePoint) {
		d.Points = c.last // those with reports were made for each device
	}
	c.last = d.Points
	c.devices[d.Device] = d
	c.changedLocked()
}

// putRulesLocked keeps the deliveries that are not plain, and what of a device may be
// thinned, where they are found without waiting. Devices that share their points share
// them.
func (c *Catalogue) putRulesLocked(d DeviceInfo) {
	if len(d.Points) == 0 || len(d.Points) != len(c.ruled) || &d.Points[0] != &c.ruled[0] {
		c.ruled, c.rulesOf, c.thinsOf = d.Points, nil, nil
		for _, p := range d.Points {
			if !p.Delivery.Plain() {
				if c.rulesOf == nil {
					c.rulesOf = make(map[string]*Delivery)
				}
				c.rulesOf[p.Name] = p.Delivery
			}
			if p.Thin != nil {
				if c.thinsOf == nil {
					c.thinsOf = make(map[string]*Thin)
				}
				c.thinsOf[p.Name] = p.Thin
				c.levels.Store(max(c.levels.Load(), int32(len(p.Thin.To))))
			}
		}
	}
	if c.rulesOf == nil {
		c.rules.Delete(d.Device)
	} else {
		c.rules.Store(d.Device, c.rulesOf)
	}
	if c.thinsOf == nil {
		c.thins.Delete(d.Device)
	} else {
		c.thins.Store(d.Device, c.thinsOf)
	}
}

// Thins returns what of a device may be thinned, by point; nil for nothing. It does not
// change.
func (c *Catalogue) Thins(device string) map[string]*Thin {
	thins, _ := c.thins.Load(device)
	m, _ := thins.(map[string]*Thin)
	return m
}

// Levels returns how many spans there are at most to which something may be thinned, one
// after the other.
func (c *Catalogue) Levels() int { return int(c.levels.Load()) }

// deliveries returns the deliveries of a device's points that are not plain,
// nil for none.
func (c *Catalogue) deliveries(device string) map[string]*Delivery {
	if c == nil {
		return nil
	}
	rules, _ := c.rules.Load(device)
	m, _ := rules.(map[string]*Delivery)
	return m
}

// Remove takes a device out.
func (c *Catalogue) Remove(device string) {
	c.rules.Delete(device)
	c.thins.Delete(device)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.devices[device]; ok {
		delete(c.devices, device)
		c.changedLocked()
	}
}

func (c *Catalogue) changedLocked() {
	c.version++
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// Snapshot returns all devices sorted by name, the version, and a channel that
// is closed at the next change. The devices are read-only.
func (c *Catalogue) Snapshot() ([]DeviceInfo, uint64, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	devices := make([]DeviceInfo, 0, len(c.devices))
	for _, name := range slices.Sorted(maps.Keys(c.devices)) {
		devices = append(devices, c.devices[name])
	}
	return devices, c.version, c.changed
}

// Device returns a device, and whether there is one of that name. It is read-only.
func (c *Catalogue) Device(name string) (DeviceInfo, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.devices[name]
	return d, ok
}

// SameDevice reports whether the cloud is told the same of a and b.
func SameDevice(a, b DeviceInfo) bool {
	return a.Original == b.Original && maps.Equal(a.Labels, b.Labels) && slices.EqualFunc(a.Points, b.Points, samePoint)
}

func samePoint(p, q PointInfo) bool {
	return p.Name == q.Name && p.Original == q.Original && p.Type == q.Type && p.Unit == q.Unit &&
		maps.Equal(p.Enum, q.Enum)
}
