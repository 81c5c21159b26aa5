package payload

import (
	"strings"

	"github.com/tidwall/gjson"

	"fieldbridge/southbound/mqtt/units"
)

// unitIn returns what a payload says of the unit of the point.
func (e *extract) unitIn(text string) (unit gjson.Result) {
	if e.unitAt != nil {
		unit = gjson.Get(text, e.unitAt.path)
	}
	return unit
}

// explainFound is explain for what was found in JSON.
func (e *extract) explainFound(found, unit gjson.Result) Fault {
	switch {
	case e.octets != nil:
	case e.unitAt != nil && unit.Exists() && !units.Same(unit.String(), e.info.Unit):
		return FaultUnit
	case found.Type == gjson.String:
		return e.explain(found.Str)
	}
	return FaultType
}

// explain says why a text is not a number of the point.
func (e *extract) explain(text string) Fault {
	text, _ = e.cut(text)
	text = strings.TrimSpace(strings.TrimRight(text, "\x00"))
	if !e.number() || e.numbers != nil {
		return FaultType
	}
	var w writtenNumber
	rest, ok := w.scan(text)
	rest = strings.TrimSpace(rest)
	switch {
	case !ok || strings.ContainsAny(rest, "0123456789,;:"):
		return FaultType
	case !e.behind(rest) && e.info.Unit == "":
		return FaultNoUnit
	case !e.behind(rest):
		return FaultUnit
	case e.decimal == 0 && len(w.separators) > 0:
		return FaultComma
	}
	return FaultType
}

// spoken is what was found in JSON as a text.
func spoken(found gjson.Result) string {
	if found.Type == gjson.Number {
		return found.Raw
	}
	return found.String()
}

// explain says why a time is not believed.
func (k *clock) explain(text string) Fault {
	text = strings.Trim(text, " \t\r\n\x00")
	if _, err := k.parse(text); err != nil || k.unit != 0 {
		for _, unit := range []int64{1e9, 1e6, 1e3, 1} {
			other := clock{unit: unit}
			if t, err := other.number(text); unit != k.unit && err == nil && t.After(neverSet) && t.Year() < 2100 {
				return FaultTimeFormat
			}
		}
		if err != nil && !strings.HasPrefix(text, "-") {
			return FaultTimeFormat
		}
	}
	return FaultTime
}
