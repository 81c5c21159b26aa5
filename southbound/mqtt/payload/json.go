package payload

import (
	"strconv"

	"github.com/tidwall/gjson"

	"fieldbridge/bridge"
)

// maxDepth is how deep JSON may be nested. Sensors need a handful; the reader
// recurses, so something must be the limit.
const maxDepth = 64

// jsonFault says why payload cannot be read as JSON, FaultNone if it can: gjson
// finds values in anything and must be given valid JSON only.
func jsonFault(payload []byte) Fault {
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(payload); i++ {
		switch c := payload[i]; {
		case quoted:
			switch c {
			case '\\':
				i++
			case '"':
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	switch {
	case deepest > maxDepth:
		return FaultDeep
	case !gjson.ValidBytes(payload):
		return FaultJSON
	}
	return FaultNone
}

// jsonValue reads a value from what gjson found. What the payload does not have
// is absent, and no reading; null is the sensor's own "no value".
func (e *extract) jsonValue(r gjson.Result) (v bridge.Value, present bool) {
	switch r.Type {
	case gjson.Null:
		return bridge.Bad(bridge.ReasonMissing), r.Exists()
	case gjson.True, gjson.False:
		switch {
		case e.trueWhen != nil || e.falseWhen != nil || e.typ.Kind == KindString:
			return e.value(strconv.FormatBool(r.Type == gjson.True)), true
		case e.typ.Kind == KindBool:
			return bridge.Bool(r.Type == gjson.True), true
		}
		return bridge.Bad(bridge.ReasonType), true
	case gjson.Number:
		return e.value(r.Raw), true
	case gjson.String:
		// Many sensors quote their numbers: the configured type decides.
		return e.value(r.Str), true
	}
	if e.typ.Kind == KindString { // an object or array, as it is
		return Text(r.Raw), true
	}
	return bridge.Bad(bridge.ReasonType), true
}
