package thin

import (
	"slices"
	"strings"
	"time"

	"fieldbridge/bridge"
)

// marks is how many readings of an aggregate say what it was made of.
const marks = 3

// part is what is added to an aggregate: a reading, or an aggregate of before.
type part struct {
	n        uint64
	from, to int64                          // Unix ms
	of       *[len(statistics)]bridge.Value // as statistics; nil of a reading
	value    bridge.Value                   // of a reading
	width    int                            // readings that it takes
}

// statistics are all that an aggregate may have.
var statistics = [...]bridge.Statistic{bridge.Mean, bridge.Minimum, bridge.Maximum, bridge.Last}

// aggregate is readings of one point within one span.
type aggregate struct {
	n              uint64
	from, to       int64
	sum            float64
	low, high, end bridge.Value
	// What not all parts had: as text has no mean.
	noMean, noLow, noHigh, noEnd bool
}

// add takes a part in, which is later than those before.
func (a *aggregate) add(p *part) {
	mean, low, high, end := p.value, p.value, p.value, p.value
	if p.of != nil {
		mean, low, high, end = p.of[0], p.of[1], p.of[2], p.of[3]
	}
	first := a.n == 0
	if first {
		a.from, a.to = p.from, p.to
	}
	a.n += p.n
	a.from, a.to = min(a.from, p.from), max(a.to, p.to)
	if f, ok := mean.Float(); ok {
		a.sum += f * float64(p.n)
	} else {
		a.noMean = true
	}
	if x, ok := rank(low); !ok {
		a.noLow = true
	} else if was, ok := rank(a.low); first || ok && x < was {
		a.low = low
	}
	if x, ok := rank(high); !ok {
		a.noHigh = true
	} else if was, ok := rank(a.high); first || ok && x > was {
		a.high = high
	}
	a.end = end
	a.noEnd = a.noEnd || !end.Good()
}

// rank orders numbers, and false before true.
func rank(v bridge.Value) (float64, bool) {
	if v.Kind() == bridge.KindBool {
		return float64(v.Bits()), true
	}
	return v.Float()
}

// append appends the readings of an aggregate of a point.
func (a *aggregate) append(r []bridge.Reading, point string, keep []bridge.Statistic) []bridge.Reading {
	r = append(r, bridge.Reading{Point: point + bridge.ThinCount, Value: bridge.Uint(a.n)},
		bridge.Reading{Point: point + bridge.ThinFirst, Value: bridge.Int(a.from)},
		bridge.Reading{Point: point + bridge.ThinLast, Value: bridge.Int(a.to)})
	for _, s := range keep {
		v, lacks := a.end, a.noEnd
		switch s {
		case bridge.Mean:
			v, lacks = bridge.Float64(a.sum/float64(a.n)), a.noMean
		case bridge.Minimum:
			v, lacks = a.low, a.noLow
		case bridge.Maximum:
			v, lacks = a.high, a.noHigh
		}
		if !lacks {
			r = append(r, bridge.Reading{Point: bridge.ReportPoint(point, s), Value: v})
		}
	}
	return r
}

// partOf takes the next part off readings of a batch that was acquired at: an aggregate,
// or one reading.
func partOf(r []bridge.Reading, at time.Time) (point string, p part) {
	if point, p, ok := aggregateOf(r); ok {
		return point, p
	}
	ms := at.UnixMilli()
	return r[0].Point, part{n: 1, from: ms, to: ms, value: r[0].Value, width: 1}
}

// aggregateOf takes an aggregate off readings, if they begin with one. Its three marks
// stand side by side: no sensor's points are taken for one.
func aggregateOf(r []bridge.Reading) (point string, p part, ok bool) {
	point, ok = strings.CutSuffix(r[0].Point, bridge.ThinCount)
	if !ok || len(r) < marks || !named(r[1], point, bridge.ThinFirst) || !named(r[2], point, bridge.ThinLast) ||
		r[0].Value.Kind() != bridge.KindUint || r[1].Value.Kind() != bridge.KindInt ||
		r[2].Value.Kind() != bridge.KindInt || r[0].Value.Bits() == 0 {
		return "", p, false
	}
	p = part{n: r[0].Value.Bits(), from: int64(r[1].Value.Bits()), to: int64(r[2].Value.Bits()), width: marks,
		of: new([len(statistics)]bridge.Value)}
	for p.width < len(r) {
		what, ok := statisticOf(r[p.width], point)
		if !ok {
			break
		}
		p.of[what] = r[p.width].Value
		p.width++
	}
	return point, p, true
}

func named(r bridge.Reading, point, mark string) bool {
	return len(r.Point) == len(point)+len(mark) && strings.HasPrefix(r.Point, point) && strings.HasSuffix(r.Point, mark)
}

// statisticOf returns which statistic of a point a reading is.
func statisticOf(r bridge.Reading, point string) (int, bool) {
	rest, ok := strings.CutPrefix(r.Point, point)
	if !ok || rest == "" {
		return 0, false
	}
	i := slices.Index(statistics[:], bridge.Statistic(rest[1:]))
	return i, i >= 0 && rest[0] == '_'
}
