package bridge

import (
	"sync"
	"time"
)

// BadHeartbeat is how often a reading that stays bad is delivered again.
const BadHeartbeat = 5 * time.Minute

// filter holds back readings that need not be delivered. It keeps a state for
// points that are bad and for those with a [Delivery] of their own; the others
// pass without one. It is safe for concurrent use.
type filter struct {
	catalogue *Catalogue

	mu       sync.Mutex
	devices  map[string]*deviceFilter // guarded by mu
	repeats  uint64                   // guarded by mu; bad readings held back
	unchange uint64                   // guarded by mu; good readings held back
	snapshot uint64                   // guarded by mu; grows with each snapshot asked for
}

// deviceFilter is the state of one device.
type deviceFilter struct {
	points  map[string]*pointFilter
	reports map[string]*period // begun, by point
	bad     int                // of points
}

// pointFilter is what was last delivered of a point, and when to deliver it
// even if it is unchanged.
type pointFilter struct {
	last     Value
	again    time.Time
	snapshot uint64 // when last was delivered
}

func newFilter(catalogue *Catalogue) *filter {
	return &filter{catalogue: catalogue, devices: make(map[string]*deviceFilter)}
}

// sendAll makes the next reading of each point be delivered.
func (f *filter) sendAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshot++
}

// apply takes out what need not be delivered, in place, and puts reports in.
func (f *filter) apply(b *Batch) []Reading {
	rules := f.catalogue.deliveries(b.Device)
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.devices[b.Device]
	if rules == nil && (d == nil || d.bad == 0) {
		if !anyBad(b.Readings) {
			return b.Readings
		}
	}
	if d == nil {
		d = &deviceFilter{points: make(map[string]*pointFilter)}
		f.devices[b.Device] = d
	}
	now := time.Now()
	kept := b.Readings[:0]
	var reports []Reading
	for _, r := range b.Readings {
		rule := rules[r.Point]
		if rule != nil && rule.Report != nil {
			reports = f.reportLocked(d, rule.Report, r, b.At, now, reports)
			continue
		}
		if f.passLocked(d, rule, r, now, b.Whole) {
			kept = append(kept, r)
		}
	}
	if len(d.points) == 0 && len(d.reports) == 0 {
		delete(f.devices, b.Device)
	}
	return append(kept, reports...)
}

func anyBad(readings []Reading) bool {
	for i := range readings {
		if !readings[i].Value.Good() {
			return true
		}
	}
	return false
}

// passLocked reports whether a reading is delivered, and remembers it. asked is
// that someone asked for it: then it is.
func (f *filter) passLocked(d *deviceFilter, rule *Delivery, r Reading, now time.Time, asked bool) bool {
	p := d.points[r.Point]
	good := r.Value.Good()
	if p != nil && !asked && good == p.last.Good() && now.Before(p.again) {
		switch {
		case !good && p.last == r.Value:
			f.repeats++
			return false
		case good && !rule.Plain() && p.snapshot == f.snapshot && rule.unchanged(p.last, r.Value):
			f.unchange++
			return false
		}
	}
	if p != nil && !p.last.Good() {
		d.bad--
	}
	if good && rule.Plain() {
		delete(d.points, r.Point)
		return true
	}
	if p == nil {
		p = &pointFilter{}
		d.points[r.Point] = p
	}
	p.last, p.snapshot = r.Value, f.snapshot
	if good {
		p.again = now.Add(rule.heartbeat())
	} else {
		d.bad++
		p.again = now.Add(BadHeartbeat)
	}
	return true
}

// reportLocked takes a reading into its point's report and appends the report
// of the period before when that is over. A bad reading is told for each of the
// report's points, and is not part of it.
func (f *filter) reportLocked(d *deviceFilter, report *Report, r Reading, at, now time.Time, out []Reading) []Reading {
	p, start := d.reports[r.Point], at.Truncate(report.Every)
	if p == nil || !p.start.Equal(start) {
		if p != nil {
			for _, done := range p.append(nil, r.Point, report.As) {
				if f.passLocked(d, nil, done, now, false) {
					out = append(out, done)
				}
			}
		}
		p = &period{start: start}
		if d.reports == nil {
			d.reports = make(map[string]*period)
		}
		d.reports[r.Point] = p
	}
	if r.Value.Good() {
		p.add(r.Value)
		return out
	}
	for _, s := range report.As {
		told := Reading{ReportPoint(r.Point, s), r.Value}
		if f.passLocked(d, nil, told, now, false) {
			out = append(out, told)
		}
	}
	return out
}

// counts returns the readings held back, and the points that are bad.
func (f *filter) counts() (repeats, unchanged uint64, bad int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.devices {
		bad += d.bad
	}
	return f.repeats, f.unchange, bad
}
