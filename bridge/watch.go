package bridge

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// watchFor is how long a device is watched after someone looked.
	watchFor = 30 * time.Second
	// watchMost is how many devices are watched at once: the memory is for
	// readings.
	watchMost = 16
)

// Latest is the newest reading of a point, as its source emitted it: before
// anything holds it back.
type Latest struct {
	Reading
	At time.Time
}

// watch keeps the newest readings of the devices that someone looks at. Nobody
// looks most of the time: then it costs one load for each batch.
type watch struct {
	any     atomic.Bool
	mu      sync.Mutex
	devices map[string]*watched // guarded by mu
}

type watched struct {
	until  time.Time
	points map[string]Latest
}

// see takes note of b if its device is watched.
func (w *watch) see(b *Batch) {
	if !w.any.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgetLocked(time.Now())
	d := w.devices[b.Device]
	if d == nil {
		return
	}
	for _, r := range b.Readings {
		d.points[r.Point] = Latest{r, b.At}
	}
}

// latest returns what came of a device since it is watched, by point, and
// watches it for some time more. ok is false when too many others are watched.
func (w *watch) latest(device string) (points []Latest, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.forgetLocked(now)
	d := w.devices[device]
	if d == nil {
		if len(w.devices) >= watchMost {
			return nil, false
		}
		if w.devices == nil {
			w.devices = make(map[string]*watched)
		}
		d = &watched{points: make(map[string]Latest)}
		w.devices[device] = d
	}
	d.until = now.Add(watchFor)
	w.any.Store(true)
	points = slices.SortedFunc(maps.Values(d.points), func(a, b Latest) int {
		return strings.Compare(a.Point, b.Point)
	})
	return points, true
}

// forgetLocked ends what nobody looks at any more.
func (w *watch) forgetLocked(now time.Time) {
	maps.DeleteFunc(w.devices, func(_ string, d *watched) bool { return now.After(d.until) })
	w.any.Store(len(w.devices) > 0)
}

// Latest returns the newest reading of each point of a device, sorted by name,
// as sources emit them. They are kept from the first call on, and until half a
// minute after the last: the first returns none. ok is false when 16 other
// devices are looked at.
func (c *Collector) Latest(device string) (points []Latest, ok bool) { return c.watch.latest(device) }
