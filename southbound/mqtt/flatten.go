package mqtt

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"fieldbridge/bridge"
)

// maxLeaves is how many values of one payload are read by points: all.
const maxLeaves = 256

// readAll returns every number, bool and text in a JSON payload, named by where
// it is. What is null has no type to be known by and is left out.
func (r *rule) readAll(m message) (result, fault) {
	if f := jsonFault(m.payload); f != faultNone {
		return result{}, f
	}
	text, worst := jsonText(m.payload), faultNone
	out := result{at: m.at}
	root := gjson.Parse(text)
	if !root.IsObject() && !root.IsArray() {
		return result{}, faultMissing // a bare value has no name
	}
	out.flatten("", root, &worst)
	if r.clock != nil && !out.stamp(r.clock.fromJSON(text, m.at)) {
		worst = faultTime
	}
	return out.checked(worst)
}

// flatten adds the leaves of a value whose name is prefix.
func (out *result) flatten(prefix string, value gjson.Result, worst *fault) {
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
			return len(out.readings) < maxLeaves
		}
		out.leaf(name, v, worst)
		if len(out.readings) >= maxLeaves {
			*worst = faultPoints
			return false
		}
		return true
	})
}

// leaf adds a value. Two names that are the same as point names are one point:
// the first counts, as in JSON with a key twice.
func (out *result) leaf(name string, v gjson.Result, worst *fault) {
	var value bridge.Value
	switch v.Type {
	case gjson.Null:
		return
	case gjson.True, gjson.False:
		value = bridge.Bool(v.Type == gjson.True)
	case gjson.String:
		value = textValue(v.Str)
	default:
		value = numberValue(v.Raw)
	}
	point := bridge.PointName(name)
	if slices.ContainsFunc(out.readings, func(r bridge.Reading) bool { return r.Point == point }) {
		return
	}
	if f := valueFault(value); f != faultNone {
		*worst = f
	}
	out.readings = append(out.readings, bridge.Reading{Point: point, Value: value})
}

// numberValue reads a number of no known type: float64, but for integers that
// it can't hold.
func numberValue(raw string) bridge.Value {
	v := typeInfo{kind: typeFloat64, bits: 64}.parse(raw)
	if f, ok := v.Float(); !ok || math.Abs(f) < 1<<53 {
		return v
	}
	if i := (typeInfo{kind: typeInt, bits: 64}).parse(raw); i.Good() {
		return i
	}
	if u := (typeInfo{kind: typeUint, bits: 64}).parse(raw); u.Good() {
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
