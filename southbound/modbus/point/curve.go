package point

import (
	"errors"
	"slices"

	"fieldbridge/bridge"
)

// apply returns the value on the curve for the raw number v.
func (c *Curve) apply(v bridge.Value) bridge.Value {
	raw, ok := v.Float()
	if !ok {
		return v
	}
	if value, ok := between(c.Raw, c.Value, raw, c.Codes); ok {
		return bridge.Float64(value)
	}
	return bridge.Bad(bridge.ReasonOutOfRange)
}

// between returns what lies over x on the line through the points (xs, ys), where
// xs ascend; at the points alone if they are codes.
func between(xs, ys []float64, x float64, codes bool) (y float64, ok bool) {
	i, found := slices.BinarySearch(xs, x)
	switch {
	case found:
		return ys[i], true
	case codes || i == 0 || i == len(xs):
		return 0, false
	}
	x0, y0 := xs[i-1], ys[i-1]
	return y0 + (x-x0)*(ys[i]-y0)/(xs[i]-x0), true
}

// Invertible reports whether each value belongs to one raw number.
func (c *Curve) Invertible() bool {
	if c.Codes {
		known := make(map[float64]bool, len(c.Value))
		for _, v := range c.Value {
			known[v] = true
		}
		return len(known) == len(c.Value)
	}
	up, down := true, true
	for i := 1; i < len(c.Value); i++ {
		up = up && c.Value[i] > c.Value[i-1]
		down = down && c.Value[i] < c.Value[i-1]
	}
	return up || down
}

var errBeyond = errors.New("is not in the table")

// undo returns the raw number for a value on an invertible curve.
func (c *Curve) undo(value float64) (float64, error) {
	xs, ys := slices.Clone(c.Value), slices.Clone(c.Raw)
	if c.Codes {
		if i := slices.Index(c.Value, value); i >= 0 {
			return c.Raw[i], nil
		}
		return 0, errBeyond
	}
	if xs[0] > xs[len(xs)-1] {
		slices.Reverse(xs)
		slices.Reverse(ys)
	}
	raw, ok := between(xs, ys, value, false)
	if !ok {
		return 0, errBeyond
	}
	return raw, nil
}
