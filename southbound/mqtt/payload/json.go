package payload

import (
	"strconv"

	"github.com/tidwall/gjson"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/units"
)

// jsonValue reads a value from what gjson found. What the payload does not have
// is absent, and no reading; null is the sensor's own "no value".
func (e *extract) jsonValue(r gjson.Result) (v bridge.Value, present bool) {
	if e.octets != nil && r.Type == gjson.String {
		data, ok := e.octets.decode(r.Str)
		if !ok {
			return bridge.Bad(bridge.ReasonType), true
		}
		return e.octetValue(data)
	}
	if e.octets != nil && r.Exists() && r.Type != gjson.Null {
		return bridge.Bad(bridge.ReasonType), true // no text, so no bytes either
	}
	switch r.Type {
	case gjson.Null:
		return bridge.Bad(bridge.ReasonMissing), r.Exists()
	case gjson.True, gjson.False:
		switch {
		case e.trueWhen != nil || e.falseWhen != nil || e.typ.Kind == KindString:
			return e.value(strconv.FormatBool(r.Type == gjson.True)), true
		case e.typ.Kind == KindBool || e.typ.Kind == KindAny:
			return bridge.Bool(r.Type == gjson.True), true
		}
		return bridge.Bad(bridge.ReasonType), true
	case gjson.Number:
		return e.plain(r.Raw), true
	case gjson.String:
		// Many sensors quote their numbers: the configured type decides.
		if text, ok := e.cut(r.Str); ok {
			return e.value(text), true
		}
		return v, false
	}
	if e.typ.Kind == KindString { // an object or array, as it is
		return Text(r.Raw), true
	}
	if len(r.Raw) == 2 { // how some say that there is nothing
		return bridge.Bad(bridge.ReasonMissing), true
	}
	return bridge.Bad(bridge.ReasonType), true
}

// inUnit returns v, bad if the payload says that it is in another unit than the
// rule's.
func (e *extract) inUnit(v bridge.Value, unit gjson.Result) bridge.Value {
	if v.Good() && unit.Type != gjson.Null && !units.Same(unit.String(), e.info.Unit) {
		return bridge.Bad(bridge.ReasonType)
	}
	return v
}
