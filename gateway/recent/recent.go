// Package recent keeps what sources read lately, in memory alone: of each point the
// newest reading, the last good one beside a bad one, and the course of the last
// hour. It is what people look at; nothing that is delivered hangs on it.
package recent

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/order"
)

const (
	// Step and Steps: the course of a point is its lowest and highest value of each
	// minute of the last hour, so that a peak of a second is seen.
	Step  = time.Minute
	Steps = 60

	// mostText is how many bytes are kept of a text.
	mostText = 1024
	// What a device and a point take, beside their names and texts, and a course.
	costDevice = 300
	costPoint  = 120
	costCourse = Steps*8 + 16
	// mostCourses is the most that courses take, in bytes: of about 1,000 points.
	// What a gateway reads beyond, nobody looks at all at once.
	mostCourses = 512 << 10
	// indexed is from how many points on a device's are found by an index where they do
	// not come in the same order as before.
	indexed = 64
	// settled is after how many batches that came in the same order the index is given up:
	// it takes half of what the points take, and polls never need it after the first.
	settled = 16
)

// Readings are those of all devices. It is safe for concurrent use.
type Readings struct {
	most    int64 // bytes
	start   time.Time
	bytes   atomic.Int64
	courses atomic.Int64 // bytes of these
	points  atomic.Int64
	leftOut atomic.Uint64 // readings for which there was no room
	short   atomic.Bool   // memory is: no courses, nothing new

	mu      sync.RWMutex
	devices map[string]*device // guarded by mu
}

type device struct {
	mu     sync.Mutex
	points []point          // guarded by mu; in the order in which they came first
	next   int              // guarded by mu; after the point that was found last
	index  map[string]int32 // guarded by mu; nil of few, and where it is not needed
	calm   int              // guarded by mu; batches in a row that did not need it
}

type point struct {
	name   string
	value  bridge.Value
	at     int64   // Unix ns
	good   *good   // the last good one, while value is bad
	course *course // nil of a text, until a number came, and where there is no room
	text   int32   // bytes of value or good
}

type good struct {
	value bridge.Value
	at    int64
}

// course has a value for each step; NaN where none came. The newest is at step % Steps.
type course struct {
	step   int32
	values [Steps][2]float32
}

// New returns Readings that take at most so many bytes of memory, about.
func New(most int64) *Readings {
	return &Readings{most: most, start: time.Now(), devices: make(map[string]*device)}
}

// Watched is a source whose readings are kept, too.
type Watched struct {
	bridge.Source
	Readings *Readings
}

// Run implements [bridge.Source].
func (w Watched) Run(ctx context.Context, emit bridge.Emit) error {
	return w.Source.Run(ctx, func(b bridge.Batch, safe func(error)) {
		w.Readings.See(&b)
		emit(b, safe)
	})
}

// See takes note of the readings of b. It keeps nothing of b itself.
func (r *Readings) See(b *bridge.Batch) {
	r.mu.RLock()
	d := r.devices[b.Device]
	r.mu.RUnlock()
	if d == nil {
		if d = r.add(b.Device); d == nil {
			r.leftOut.Add(uint64(len(b.Readings)))
			return
		}
	}
	step := int32(time.Since(r.start) / Step)
	at := b.At.UnixNano()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.points == nil {
		d.points = make([]point, 0, len(b.Readings)) // mostly all that the device has
	}
	for i := range b.Readings {
		p := d.find(b.Readings[i].Point)
		if p == nil {
			if p = r.addPoint(d, b.Readings[i].Point); p == nil {
				r.leftOut.Add(1)
				continue
			}
		}
		r.note(p, b.Readings[i].Value, at, step)
	}
	if d.calm++; d.calm >= settled {
		d.index = nil
	}
}

// find returns a point by its name, nil if it is not known. d.mu is held.
func (d *device) find(name string) *point {
	if d.next >= len(d.points) {
		d.next = 0
	}
	if d.next < len(d.points) && d.points[d.next].name == name {
		d.next++
		return &d.points[d.next-1]
	}
	at := -1
	if len(d.points) >= indexed {
		if d.calm = -1; d.index == nil {
			d.reindex()
		}
		if i, ok := d.index[name]; ok {
			at = int(i)
		}
	} else {
		at = slices.IndexFunc(d.points, func(p point) bool { return p.name == name })
	}
	if at < 0 {
		return nil
	}
	d.next = at + 1
	return &d.points[at]
}

// add makes room for a device; nil if there is none.
func (r *Readings) add(name string) *device {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.devices[name]; d != nil {
		return d
	}
	if r.short.Load() || !r.take(costDevice+int64(len(name))) {
		return nil
	}
	d := new(device)
	r.devices[strings.Clone(name)] = d
	return d
}

// addPoint makes room for a point; nil if there is none. d.mu is held.
func (r *Readings) addPoint(d *device, name string) *point {
	if r.short.Load() || !r.take(costPoint+int64(len(name))) {
		return nil
	}
	r.points.Add(1)
	d.points = append(d.points, point{name: strings.Clone(name)})
	last := len(d.points) - 1
	if d.index != nil {
		d.index[d.points[last].name] = int32(last)
	}
	d.next = last + 1
	return &d.points[last]
}

// reindex makes the index anew. d.mu is held.
func (d *device) reindex() {
	d.index = make(map[string]int32, len(d.points))
	for i := range d.points {
		d.index[d.points[i].name] = int32(i)
	}
}

// take takes n bytes if there are so many left.
func (r *Readings) take(n int64) bool {
	if r.bytes.Add(n) <= r.most {
		return true
	}
	r.bytes.Add(-n)
	return false
}

// note makes v the newest value of p.
func (r *Readings) note(p *point, v bridge.Value, at int64, step int32) {
	if !v.Good() {
		if p.value.Good() && p.at != 0 {
			p.good = &good{p.value, p.at}
		}
		p.value, p.at = v, at
		return
	}
	if p.text != 0 {
		r.bytes.Add(-int64(p.text))
		p.text = 0
	}
	if v.Kind() == bridge.KindString {
		text := clip(v.Str())
		if p.text = int32(len(text)); !r.take(int64(p.text)) {
			text, p.text = "…", 0
		}
		v = bridge.String(strings.Clone(text)) // the message that it came in is not held
	}
	p.value, p.at, p.good = v, at, nil
	number, ok := v.Float()
	if v.Kind() == bridge.KindBool {
		number, ok = 0, true
		if v.Truth() {
			number = 1
		}
	}
	if ok && (p.course != nil || r.addCourse(p, step)) {
		p.course.put(step, float32(number))
	}
}

// addCourse gives p a course, if there is room for one.
func (r *Readings) addCourse(p *point, step int32) bool {
	if r.short.Load() || r.courses.Load()+costCourse > mostCourses || !r.take(costCourse) {
		return false
	}
	r.courses.Add(costCourse)
	p.course = &course{step: step - Steps}
	return true
}

// clip returns the beginning of a long text.
func clip(s string) string {
	if len(s) <= mostText {
		return s
	}
	return strings.ToValidUTF8(s[:mostText], "") + "…"
}

// put makes v one of the values of a step, which is not before the newest.
func (c *course) put(step int32, v float32) {
	c.advance(step)
	s := &c.values[step%Steps]
	if s[0] <= s[1] { // not if it has no value yet: NaN
		s[0], s[1] = min(s[0], v), max(s[1], v)
	} else {
		s[0], s[1] = v, v
	}
}

// advance makes step the newest; those that it passes have no value.
func (c *course) advance(step int32) {
	none := float32(math.NaN())
	for s := max(c.step, step-Steps) + 1; s <= step; s++ {
		c.values[(s%Steps+Steps)%Steps] = [2]float32{none, none}
	}
	c.step = max(c.step, step)
}

// Point is what is known of a point.
type Point struct {
	Name  string
	Value bridge.Value
	At    time.Time
	// Good is the last good value, and GoodAt its time; zero if there was none.
	Good   bridge.Value
	GoodAt time.Time
	// Course has the lowest and the highest value of each [Step] of the last hour, the
	// newest last; NaN where none came. It is nil of texts, and of points beyond the
	// first thousand.
	Course [][2]float32
}

// Device returns the points of a device of which something came, sorted by name;
// nil if there are none.
func (r *Readings) Device(name string) []Point {
	r.mu.RLock()
	d := r.devices[name]
	r.mu.RUnlock()
	if d == nil {
		return nil
	}
	step := int32(time.Since(r.start) / Step)
	d.mu.Lock()
	defer d.mu.Unlock()
	points := make([]Point, 0, len(d.points))
	for i := range d.points {
		p := &d.points[i]
		q := Point{Name: p.name, Value: p.value, At: time.Unix(0, p.at)}
		switch {
		case p.value.Good():
			q.Good, q.GoodAt = q.Value, q.At
		case p.good != nil:
			q.Good, q.GoodAt = p.good.value, time.Unix(0, p.good.at)
		}
		if p.course != nil {
			p.course.advance(step)
			newest := step % Steps
			q.Course = append(slices.Clone(p.course.values[newest+1:]), p.course.values[:newest+1]...)
		}
		points = append(points, q)
	}
	order.By(points, func(a, b Point) int { return strings.Compare(a.Name, b.Name) })
	return points
}

// Keep forgets each device and point that is not among those.
func (r *Readings) Keep(devices []bridge.DeviceInfo) {
	kept := make(map[string]map[string]bool, len(devices))
	for _, d := range devices {
		points := make(map[string]bool, len(d.Points))
		for _, p := range d.Points {
			points[p.Name] = true
		}
		kept[d.Device] = points
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, d := range r.devices {
		d.mu.Lock()
		d.points = slices.DeleteFunc(d.points, func(p point) bool {
			if kept[name][p.name] {
				return false
			}
			r.bytes.Add(-costPoint - int64(len(p.name)) - int64(p.text))
			if p.course != nil {
				r.bytes.Add(-costCourse)
				r.courses.Add(-costCourse)
			}
			r.points.Add(-1)
			return true
		})
		d.next, d.index = 0, nil
		if len(d.points) == 0 {
			r.bytes.Add(-costDevice - int64(len(name)))
			delete(r.devices, name)
		}
		d.mu.Unlock()
	}
}

// Shed gives up the last hour of all points, and takes no new point until
// [Readings.Regain]. The newest readings stay. It returns how many bytes that gives.
func (r *Readings) Shed() (bytes int64) {
	r.short.Store(true)
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, d := range r.devices {
		d.mu.Lock()
		for i := range d.points {
			if d.points[i].course != nil {
				d.points[i].course = nil
				bytes += costCourse
			}
		}
		d.mu.Unlock()
	}
	r.bytes.Add(-bytes)
	r.courses.Add(-bytes)
	return bytes
}

// Regain ends what [Readings.Shed] began.
func (r *Readings) Regain() { r.short.Store(false) }

// Observe implements [bridge.Observable].
func (r *Readings) Observe(yield func(bridge.Metric)) {
	yield(bridge.Metric{Name: "fieldbridge_recent_points", Kind: bridge.Gauge, Value: float64(r.points.Load()),
		Help: "Points of which the newest reading is kept for people."})
	yield(bridge.Metric{Name: "fieldbridge_recent_bytes", Kind: bridge.Gauge, Value: float64(r.bytes.Load()),
		Help: "Memory that the newest readings and their last hour take, about."})
	yield(bridge.Metric{Name: "fieldbridge_recent_left_out_total", Kind: bridge.Counter,
		Value: float64(r.leftOut.Load()),
		Help: "Readings that page and values do not show, since there was no room to keep them; " +
			"they are delivered all the same."})
}
