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
	version uint64                // guarded by mu; grows with each change
	changed chan struct{}         // guarded by mu; closed at the next change
}

// Put adds or replaces a device. Putting the same again is no change.
func (c *Catalogue) Put(d DeviceInfo) {
	slices.SortFunc(d.Points, func(a, b PointInfo) int { return strings.Compare(a.Name, b.Name) })
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.devices[d.Device]; ok && sameDevice(old, d) {
		return
	}
	if c.devices == nil {
		c.devices = make(map[string]DeviceInfo)
	}
	c.devices[d.Device] = d
	c.changedLocked()
}

// Remove takes a device out.
func (c *Catalogue) Remove(device string) {
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
	devices := slices.SortedFunc(maps.Values(c.devices), func(a, b DeviceInfo) int { return strings.Compare(a.Device, b.Device) })
	return devices, c.version, c.changed
}

func sameDevice(a, b DeviceInfo) bool {
	return maps.Equal(a.Labels, b.Labels) && slices.EqualFunc(a.Points, b.Points, func(p, q PointInfo) bool {
		return p.Name == q.Name && p.Type == q.Type && p.Unit == q.Unit && maps.Equal(p.Enum, q.Enum)
	})
}
