package bridge

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// PointInfo is what the cloud is told about a point, once, so that readings
// need not repeat it.
type PointInfo struct {
	Name string
	Type string // "float32", "bool", ... as in the configuration
	Unit string
	Enum map[int64]string
	// Delivery is when its readings are delivered; nil is each one.
	Delivery *Delivery
}

// DeviceInfo is a device and its points, sorted by name.
type DeviceInfo struct {
	Device string
	Points []PointInfo
	Labels map[string]string
}

// Catalogue is the list of devices and points that the gateway has. Sources
// put devices, the sink publishes them. The zero value is ready to use.
type Catalogue struct {
	mu      sync.Mutex
	devices map[string]DeviceInfo // guarded by mu
	rules   sync.Map              // device to map[string]*Delivery; only devices that have some
	version uint64                // guarded by mu; grows with each change
	changed chan struct{}         // guarded by mu; closed at the next change
}

// Put adds or replaces a device. Putting the same again changes nothing. The cloud
// is told of a point with a report as what the report delivers.
func (c *Catalogue) Put(d DeviceInfo) {
	c.putDeliveries(d)
	d.Points = slices.Clone(reported(d.Points))
	slices.SortFunc(d.Points, func(a, b PointInfo) int { return strings.Compare(a.Name, b.Name) })
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.devices[d.Device]; ok && SameDevice(old, d) {
		return
	}
	if c.devices == nil {
		c.devices = make(map[string]DeviceInfo)
	}
	c.devices[d.Device] = d
	c.changedLocked()
}

// putDeliveries keeps the deliveries that are not plain where the filter finds
// them without waiting.
func (c *Catalogue) putDeliveries(d DeviceInfo) {
	var rules map[string]*Delivery
	for _, p := range d.Points {
		if !p.Delivery.Plain() {
			if rules == nil {
				rules = make(map[string]*Delivery)
			}
			rules[p.Name] = p.Delivery
		}
	}
	if rules == nil {
		c.rules.Delete(d.Device)
		return
	}
	c.rules.Store(d.Device, rules)
}

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
	devices := slices.SortedFunc(maps.Values(c.devices), func(a, b DeviceInfo) int {
		return strings.Compare(a.Device, b.Device)
	})
	return devices, c.version, c.changed
}

// SameDevice reports whether the cloud is told the same of a and b.
func SameDevice(a, b DeviceInfo) bool {
	return maps.Equal(a.Labels, b.Labels) && slices.EqualFunc(a.Points, b.Points, func(p, q PointInfo) bool {
		return p.Name == q.Name && p.Type == q.Type && p.Unit == q.Unit && maps.Equal(p.Enum, q.Enum)
	})
}
