package page

import (
	"math"
	"strconv"
)

// The box of a sparkline, in its own units.
const (
	sparkWidth  = 120
	sparkHeight = 24
	sparkEdge   = 2 // above and below, so that the line is not cut
)

// Spark is the course of a point as a line.
type Spark struct {
	Path      string // of an SVG path; "" if there is nothing to see
	Band      bool   // the path goes around the area in which the point moves
	Low, High string
}

// spark draws a course: from the lowest to the highest value of each step of the box,
// gaps where none came. A course that never moves is a line in the middle. One that moves
// more within its steps than from one to the next is the band in which it does: a line
// from low to high and back would be the picture of something else.
func spark(course [][2]float32) Spark {
	low, high := float32(math.Inf(1)), float32(math.Inf(-1))
	for _, v := range course {
		if finite(v) {
			low, high = min(low, v[0]), max(high, v[1])
		}
	}
	if low > high {
		return Spark{}
	}
	y := func(v float32) float64 {
		if high == low {
			return float64(sparkHeight) / 2
		}
		return sparkEdge + (sparkHeight-2*sparkEdge)*(1-(float64(v)-float64(low))/(float64(high)-float64(low)))
	}
	b := make([]byte, 0, 16*len(course))
	step, drawn, last := float64(sparkWidth)/float64(len(course)), false, float32(0)
	to := func(kind byte, x, y float64) {
		b = strconv.AppendFloat(append(b, kind), x, 'f', 1, 64)
		b = strconv.AppendFloat(append(b, ' '), y, 'f', 1, 64)
	}
	format := func(v float32) string { return short(strconv.FormatFloat(float64(v), 'f', -1, 32)) }
	if restless(course) {
		for from := 0; from < len(course); from++ {
			end := from
			for end < len(course) && finite(course[end]) {
				x, kind := (float64(end)+0.5)*step, byte('L')
				if end == from {
					kind = 'M'
				}
				to(kind, x, y(course[end][1]))
				end++
			}
			for i := end - 1; i >= from; i-- {
				to('L', (float64(i)+0.5)*step, y(course[i][0]))
			}
			if end > from {
				b = append(b, 'Z')
			}
			from = end
		}
		return Spark{string(b), true, format(low), format(high)}
	}
	for i, v := range course {
		if !finite(v) {
			drawn = false
			continue
		}
		first, then := v[0], v[1]
		if drawn && last-first > then-last { // the way from the last value to the nearer end is shorter
			first, then = then, first
		}
		x, kind := (float64(i)+0.5)*step, byte('L')
		if !drawn {
			kind = 'M'
		}
		to(kind, x, y(first))
		if first != then {
			to('L', x, y(then))
		} else if !drawn {
			b = append(b, "h.1"...) // a lone value is a dot
		}
		drawn, last = true, then
	}
	return Spark{string(b), false, format(low), format(high)}
}

// restless reports whether a course moves more within its steps than from one to the
// next, over some of them.
func restless(course [][2]float32) bool {
	const some = 4
	steps, within, between, last := 0, 0., 0., math.NaN()
	for _, v := range course {
		if !finite(v) {
			last = math.NaN()
			continue
		}
		steps++
		within += float64(v[1]) - float64(v[0])
		middle := (float64(v[0]) + float64(v[1])) / 2
		if !math.IsNaN(last) {
			between += math.Abs(middle - last)
		}
		last = middle
	}
	return steps >= some && within > 2*between
}

func finite(v [2]float32) bool { return v[0]-v[0] == 0 && v[1]-v[1] == 0 } // of NaN and infinities it is NaN
