package payload

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

// flatten adds the leaves of a value whose name is prefix. dotted reports whether that
// has a key with a point in it: its leaves make way for a member of a member that has
// the same name.
func (out *Result) flatten(prefix string, dotted bool, value gjson.Result) {
	array, index := value.IsArray(), 0
	value.ForEach(func(key, v gjson.Result) bool {
		name, dotted := key.Str, dotted || strings.Contains(key.Str, ".")
		if array {
			name = strconv.Itoa(index)
			index++
		}
		if prefix != "" {
			name = prefix + "." + name
		} else {
			name = strings.Clone(name)
		}
		if v.IsObject() || v.IsArray() {
			out.flatten(name, dotted, v)
			return len(out.Readings) < maxLeaves
		}
		out.leaf(name, dotted, v)
		if len(out.Readings) >= maxLeaves {
			out.Fault, out.Point = FaultPoints, ""
			return false
		}
		return true
	})
}

// likelyLeaves is for how many values at most there is room before they are read: a comma
// stands between any two.
const likelyLeaves = 16

// leaf adds a value.
func (out *Result) leaf(name string, dotted bool, v gjson.Result) {
	var value bridge.Value
	switch v.Type {
	case gjson.Null:
		return
	case gjson.True, gjson.False:
		value = bridge.Bool(v.Type == gjson.True)
	case gjson.String:
		value = Text(v.Str)
	case gjson.Number:
		value = numberValue(v.Raw)
	}
	if !value.Good() && value.Reason() == bridge.ReasonMissing {
		return // a bare None
	}
	if i := out.index(name); i >= 0 {
		other := name + dottedMark
		switch {
		case dotted == out.dotted[name] || out.index(other) >= 0:
			return // a key twice, or keys with a point in them at other places
		case dotted:
			name = other
		default:
			out.Readings[i].Point = other
			delete(out.dotted, name)
		}
	} else if dotted {
		if out.dotted == nil {
			out.dotted = make(map[string]bool)
		}
		out.dotted[name] = true
	}
	out.blame(ValueFault(value), name)
	out.Readings = append(out.Readings, bridge.Reading{Point: name, Value: value})
}

// dottedMark is after the name of what is at a key with a point in it, where a member of
// a member is called so: "a.b" and the b of a.
const dottedMark = "."

// index returns which reading is called name, or -1.
func (out *Result) index(name string) int {
	return slices.IndexFunc(out.Readings, func(r bridge.Reading) bool { return r.Point == name })
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
