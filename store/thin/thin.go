package thin

import (
	"slices"

	"fieldbridge/bridge"
)

// Rules say what may be thinned.
type Rules interface {
	// Thins returns what of a device may be thinned, by point; nil for nothing.
	Thins(device string) map[string]*bridge.Thin
	// Levels returns how many spans there are at most, one after the other.
	Levels() int
}

const (
	// mostBytes is how large a batch may get by aggregates, in bytes of a message, so that
	// it can still be sent: AWS takes 128 KiB.
	mostBytes = 96 << 10
	// each is about what a reading takes in a message beside its point's name, in bytes.
	each = 30
	// worth is which part of all readings must be saved, or the file is left as it is.
	worth = 16
)

// Tally is what thinning does to an account.
type Tally struct {
	// Thinned is the readings that are replaced, and the batches of which nothing is left.
	// The readings are the sum of n of what replaces them for the first time.
	Thinned bridge.Count
	// Merged is readings of aggregates that are replaced by aggregates of longer spans.
	Merged uint64
	// Made is readings of aggregates.
	Made uint64
}

// Thinner thins the batches of one file to one level. It is for one goroutine.
type Thinner struct {
	Tally Tally

	rules    Rules
	level    int
	most     int // series
	series   int
	readings uint64
	devices  map[source]*device
}

// source is whose readings may share an aggregate: it is told under the name of one run,
// and as of one state of the clock.
type source struct {
	run, device string
	unsynced    bool
}

// device is what is known of a device, nil if nothing of it is thinned.
type device struct {
	rules  map[string]*bridge.Thin
	series map[string]*series
	names  map[string]bool // of points that are no aggregates
}

// series is what is known of the readings of a point.
type series struct {
	rule *bridge.Thin
	span int64 // ms
	last bridge.Position

	readings, spans uint64 // those that were seen
	seen            int64  // the number of the last span
	thin            bool

	open aggregate
	now  int64 // the number of its span
}

// New returns a thinner to the level-th span of each point, from 1 on. It thins so many
// points at most: of others all readings stay.
func New(rules Rules, level, most int) *Thinner {
	return &Thinner{rules: rules, level: level, most: most, devices: make(map[source]*device)}
}

// Look takes note of a batch.
func (t *Thinner) Look(e *bridge.Entry) {
	t.readings += uint64(len(e.Readings))
	d := t.device(e)
	if d == nil {
		return
	}
	bytes := 0
	for i := 0; i < len(e.Readings); {
		point, p := partOf(e.Readings[i:], e.At)
		if p.of == nil {
			d.names[point] = true
		}
		i += p.width
		bytes += p.width * (len(point) + each)
		s := t.seriesOf(d, point)
		if s == nil || !p.good() {
			continue
		}
		// Where the statistics of all points would not fit in one message, the last stay.
		if bytes += (marks + len(s.rule.Keep)) * (len(point) + each); bytes > mostBytes {
			s.thin = false
		}
		if number := p.from / s.span; s.spans == 0 || number != s.seen {
			s.seen = number
			s.spans++
		}
		s.readings += uint64(p.width)
		s.last = e.Position
	}
}

func (p *part) good() bool { return p.of != nil || p.value.Good() }

// device returns that of a batch, nil if nothing of it is thinned.
func (t *Thinner) device(e *bridge.Entry) *device {
	key := source{e.Run, e.Device, e.Unsynced}
	d, ok := t.devices[key]
	if !ok {
		if rules := t.rules.Thins(e.Device); rules != nil {
			d = &device{rules: rules, series: make(map[string]*series), names: make(map[string]bool)}
		}
		t.devices[key] = d
	}
	return d
}

// seriesOf returns that of a point, nil if it is not thinned to this level.
func (t *Thinner) seriesOf(d *device, point string) *series {
	s, ok := d.series[point]
	if !ok {
		if rule := d.rules[point]; rule != nil && t.level <= len(rule.To) && t.series < t.most {
			s = &series{rule: rule, span: max(1, rule.To[t.level-1].Milliseconds()), thin: true}
			t.series++
		}
		d.series[point] = s
	}
	return s
}

// Decide finds out of which points there will be less. It reports whether it is worth to
// go on: whether there are markedly fewer readings then.
func (t *Thinner) Decide() bool {
	saved := uint64(0)
	for _, d := range t.devices {
		if d == nil {
			continue
		}
		for point, s := range d.series {
			if s == nil || !s.thin {
				continue
			}
			after := s.spans * uint64(marks+len(s.rule.Keep))
			if s.thin = after < s.readings && !d.taken(s.rule.Names(point)); s.thin {
				saved += s.readings - after
			}
		}
	}
	return saved > 0 && saved*worth >= t.readings
}

// taken reports whether a point has one of the names that an aggregate would have.
func (d *device) taken(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return d.names[name] })
}

// Take returns what a batch has after it was thinned; none for nothing. It is called with
// the batches that Look was called with, after Decide.
func (t *Thinner) Take(e *bridge.Entry) []bridge.Reading {
	d := t.device(e)
	if d == nil {
		return e.Readings
	}
	var left []bridge.Reading
	for i := 0; i < len(e.Readings); {
		point, p := partOf(e.Readings[i:], e.At)
		s := d.series[point]
		if s == nil || !s.thin || !p.good() {
			left = append(left, e.Readings[i:i+p.width]...)
			i += p.width
			continue
		}
		i += p.width
		if number := p.from / s.span; s.open.n > 0 && number != s.now {
			left = t.close(s, point, left)
			s.now = number
		} else if s.open.n == 0 {
			s.now = number
		}
		s.open.add(&p)
		if p.of == nil {
			t.Tally.Thinned.Readings++
		} else {
			t.Tally.Merged += uint64(p.width)
		}
		if e.Position == s.last {
			left = t.close(s, point, left)
		}
	}
	if len(left) == 0 {
		t.Tally.Thinned.Batches++
	}
	return left
}

// close ends the aggregate of a series, and appends it.
func (t *Thinner) close(s *series, point string, left []bridge.Reading) []bridge.Reading {
	n := len(left)
	left = s.open.append(left, point, s.rule.Keep)
	t.Tally.Made += uint64(len(left) - n)
	s.open = aggregate{}
	return left
}
