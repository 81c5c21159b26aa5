package payload

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/topic"
)

// maxLeaves is how many values of one payload are read by points: all.
const maxLeaves = 256

// readAll returns every number, bool and text in a JSON payload, named by where
// it is. What is null has no type to be known by and is left out.
func (r *Rule) readAll(payload []byte, at time.Time) (Result, Fault) {
	if f := jsonFault(payload); f != FaultNone {
		return Result{}, f
	}
	text, worst := topic.View(payload), FaultNone
	out := Result{At: at}
	root := gjson.Parse(text)
	if !root.IsObject() && !root.IsArray() {
		return Result{}, FaultMissing // a bare value has no name
	}
	out.flatten("", root, &worst)
	if r.clock != nil && !out.stamp(r.clock.fromJSON(text, at)) {
		worst = FaultTime
	}
	return out.checked(worst)
}

// flatten adds the leaves of a value whose name is prefix.
func (out *Result) flatten(prefix string, value gjson.Result, worst *Fault) {
	array, index := value.IsArray(), 0
	value.ForEach(func(key, v gjson.Result) bool {
		name := key.Str
		if array {
			name = strconv.Itoa(index)
			index++
		}
		if prefix != "" {
			name = prefix + "_" + name
		} else {
			name = strings.Clone(name)
		}
		if v.IsObject() || v.IsArray() {
			out.flatten(name, v, worst)
			return len(out.Readings) < maxLeaves
		}
		out.leaf(name, v, worst)
		if len(out.Readings) >= maxLeaves {
			*worst = FaultPoints
			return false
		}
		return true
	})
}

// leaf adds a value. Two names that are the same as point names are one point:
// the first counts, as in JSON with a key twice.
func (out *Result) leaf(name string, v gjson.Result, worst *Fault) {
	var value bridge.Value
	switch v.Type {
	case gjson.Null:
		return
	case gjson.True, gjson.False:
		value = bridge.Bool(v.Type == gjson.True)
	case gjson.String:
		value = Text(v.Str)
	default:
		value = numberValue(v.Raw)
	}
	point := bridge.PointName(name)
	if slices.ContainsFunc(out.Readings, func(r bridge.Reading) bool { return r.Point == point }) {
		return
	}
	if f := ValueFault(value); f != FaultNone {
		*worst = f
	}
	out.Readings = append(out.Readings, bridge.Reading{Point: point, Value: value})
}

// numberValue reads a number of no known type: float64, but for integers that
// it cannot hold.
func numberValue(raw string) bridge.Value {
	v := Type{Kind: KindFloat64, Bits: 64}.parse(raw)
	if f, ok := v.Float(); !ok || math.Abs(f) < 1<<53 {
		return v
	}
	if i := (Type{Kind: KindInt, Bits: 64}).parse(raw); i.Good() {
		return i
	}
	if u := (Type{Kind: KindUint, Bits: 64}).parse(raw); u.Good() {
		return u
	}
	return v
}

// inferred is what the catalogue is told of a point that no rule names.
func inferred(r bridge.Reading) bridge.PointInfo {
	info := bridge.PointInfo{Name: r.Point, Type: "float64"}
	switch r.Value.Kind() {
	case bridge.KindBool:
		info.Type = "bool"
	case bridge.KindString:
		info.Type = "string"
	}
	return info
}
