package bridge

import (
	"math"
	"slices"
	"time"
)

// Delivery says when readings of a point are delivered. The zero Delivery
// delivers each one. It applies to good readings; bad ones are delivered when
// the reason changes and every [BadHeartbeat], and the first good one after a
// bad one always is.
type Delivery struct {
	// OnChange delivers a reading only when its value differs from the one
	// delivered last. A deadband implies it.
	OnChange bool
	// Deadband is by how much, at least, a number must differ: an absolute
	// value, or with Percent a percentage of the one delivered last.
	Deadband float64
	Percent  bool
	// Heartbeat delivers at least so often although nothing has changed;
	// [DefaultHeartbeat] if it is 0.
	Heartbeat time.Duration
	// Report delivers, instead of readings, what they were like over a time.
	Report *Report
}

// DefaultHeartbeat is how often an unchanged value is delivered again.
const DefaultHeartbeat = 15 * time.Minute

// Statistic is what a [Report] tells.
type Statistic string

// The statistics. Mean is of the good readings that came, each counted once.
const (
	Mean    Statistic = "mean"
	Minimum Statistic = "min"
	Maximum Statistic = "max"
	Last    Statistic = "last"
)

// Statistics are all there are.
var Statistics = []Statistic{Mean, Minimum, Maximum, Last}

// Report sums readings up: for each span of Every on the wall clock, and each
// statistic, there is one reading of a point called "load_mean" for the point
// "load". It comes with the first reading of the next span.
type Report struct {
	Every time.Duration
	As    []Statistic
}

// Thin allows that readings of a point that wait become aggregates when there is no room
// for all of them any more: for each span of time one of n readings, with its first and
// last time, and the statistics that are kept.
type Thin struct {
	// To are the spans on the wall clock, each longer than the one before: the second is
	// for when the first does not suffice.
	To []time.Duration
	// Keep is what is kept of them.
	Keep []Statistic
}

// NewThin returns what thins to spans and keeps statistics; nil for no spans.
func NewThin(to []time.Duration, keep []string) *Thin {
	if len(to) == 0 {
		return nil
	}
	t := &Thin{To: to}
	for _, s := range keep {
		t.Keep = append(t.Keep, Statistic(s))
	}
	return t
}

// What follows the name of a point in those of its aggregate, beside the statistics.
const (
	ThinCount = "_n"    // how many readings it was made of
	ThinFirst = "_from" // when the first of them was acquired, Unix ms
	ThinLast  = "_to"   // and the last
)

// Names returns the names of the points that the aggregates of a point have.
func (t *Thin) Names(point string) []string {
	names := []string{point + ThinCount, point + ThinFirst, point + ThinLast}
	for _, s := range t.Keep {
		names = append(names, ReportPoint(point, s))
	}
	return names
}

// Plain reports whether d delivers each reading; nil does.
func (d *Delivery) Plain() bool {
	return d == nil || !d.OnChange && d.Deadband == 0 && d.Report == nil
}

// unchanged reports whether v is not worth delivering after last.
func (d *Delivery) unchanged(last, v Value) bool {
	if d.Deadband == 0 {
		return v == last
	}
	was, ok1 := last.Float()
	is, ok2 := v.Float()
	if !ok1 || !ok2 {
		return v == last
	}
	band := d.Deadband
	if d.Percent {
		band *= math.Abs(was) / 100
	}
	// A change of just the band counts; rounding must not hide it.
	return math.Abs(is-was) < band*(1-1e-9) || is == was
}

func (d *Delivery) heartbeat() time.Duration {
	if d.Heartbeat == 0 {
		return DefaultHeartbeat
	}
	return d.Heartbeat
}

// period is the readings of one report.
type period struct {
	start          time.Time
	count          int
	sum            float64
	low, high, end Value // the zero Value for none
}

// add takes a good reading in.
func (p *period) add(v Value) {
	p.end = v
	f, ok := v.Float()
	if !ok {
		return // text and bools have a last value and nothing more
	}
	if low, _ := p.low.Float(); p.count == 0 || f < low {
		p.low = v
	}
	if high, _ := p.high.Float(); p.count == 0 || f > high {
		p.high = v
	}
	p.sum += f
	p.count++
}

// append appends the report's readings.
func (p *period) append(readings []Reading, point string, as []Statistic) []Reading {
	for _, what := range as {
		v := p.end
		switch what {
		case Mean:
			v = Float64(p.sum / float64(max(p.count, 1)))
		case Minimum:
			v = p.low
		case Maximum:
			v = p.high
		}
		if what != Last && p.count == 0 || !p.end.Good() {
			continue
		}
		readings = append(readings, Reading{ReportPoint(point, what), v})
	}
	return readings
}

// ReportPoint returns the name of the point that carries a statistic.
func ReportPoint(point string, s Statistic) string { return point + "_" + string(s) }

// reported returns what the cloud is told of points: those with a report are
// replaced by what it delivers.
func reported(points []PointInfo) []PointInfo {
	if !slices.ContainsFunc(points, func(p PointInfo) bool { return p.Delivery != nil && p.Delivery.Report != nil }) {
		return points
	}
	var out []PointInfo
	for _, p := range points {
		if p.Delivery == nil || p.Delivery.Report == nil {
			out = append(out, p)
			continue
		}
		for _, s := range p.Delivery.Report.As {
			q := p
			q.Name = ReportPoint(p.Name, s)
			q.Delivery = nil
			if s == Mean {
				q.Type, q.Enum = "float64", nil
			}
			out = append(out, q)
		}
	}
	return out
}
