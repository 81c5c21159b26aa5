package payload

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// Validate returns everything that is wrong with s, but for Sparkplug, where
// only what is delivered may be said.
func (s Settings) Validate() []setting.Problem {
	var r setting.Problems
	if !slices.Contains([]string{"", JSON, CSV, Sparkplug}, s.Format) {
		r.Add(fmt.Sprintf("%q is not a format", s.Format), "use json, csv or sparkplug-b", "format")
	}
	if s.Format != CSV {
		r.Misplaced(map[string]bool{"skip_lines": s.SkipLines != 0}, " is for format: csv")
	} else if s.SkipLines < 0 || s.SkipLines > 100 {
		r.Add(fmt.Sprintf("%d is not from 0 to 100", s.SkipLines),
			"write how many lines at the top have no values, as skip_lines: 1", "skip_lines")
	}
	if s.Time != nil {
		s.validateTime(&r)
	}
	if len(s.Points) == 0 {
		return append(r, s.validateSingle()...)
	}
	r.Misplaced(s.how(), " is for a sensor without points, or for one of its points")
	if s.Points.All() {
		if s.Format == CSV {
			r.AddOnKey("points: all is for JSON: CSV has no names", "name the points, with column", "points")
		}
		return r
	}
	for _, name := range slices.Sorted(maps.Keys(s.Points)) {
		r = append(r, setting.Under([]string{"points", name}, s.validatePoint(name, s.Points[name]))...)
	}
	return r
}

// ValidateSparkplug returns what is wrong with the settings of payloads that
// describe themselves.
func (s Settings) ValidateSparkplug() []setting.Problem {
	var r setting.Problems
	given := s.how()
	given["points"], given["time"], given["skip_lines"] = s.Points != nil, s.Time != nil, s.SkipLines != 0
	r.Misplaced(given, DescribesItself)
	return r
}

// DescribesItself is what is wrong with a key that says what a Sparkplug payload
// says.
const DescribesItself = " means nothing with format: sparkplug-b, whose payloads say it"

// how lists the keys that say how one value is read, and which of them are given.
func (v *Value) how() map[string]bool {
	return map[string]bool{"type": v.Type != "", "unit": v.Unit != "", "scale": v.Scale != nil,
		"offset": v.Offset != nil, "enum": v.Enum != nil, "true_when": v.TrueWhen != nil,
		"false_when": v.FalseWhen != nil, "deadband": v.Deadband != nil, "report": v.Report != nil}
}

// validateSingle checks settings for a payload that is one value.
func (s Settings) validateSingle() []setting.Problem {
	var r setting.Problems
	if s.Format != "" {
		r.AddOnKey("the sensor has a format but no points",
			"add points, or remove format if the payload is one value", "format")
	}
	if s.Time != nil {
		r.AddOnKey("a payload of one value has no time", "remove it", "time")
	}
	return append(r, s.validate()...)
}

func (s Settings) validatePoint(name string, p Point) []setting.Problem {
	var r setting.Problems
	if !bridge.ValidPoint(name) {
		r.AddOnKey(fmt.Sprintf("%q cannot name a point", name),
			fmt.Sprintf("use lower-case letters, digits and _, as %q", bridge.PointName(name)))
	}
	s.validatePlace(&r, p.Path, p.Column, "the point")
	return append(r, p.validate()...)
}

// validatePlace checks where something is in the payload.
func (s Settings) validatePlace(r *setting.Problems, path string, column int, what string, under ...string) {
	if s.Format == CSV {
		r.Misplaced(map[string]bool{"path": path != ""}, " is for JSON", under...)
		if column < 1 || column > 1000 {
			r.AddOnKey(what+" has no column from 1 to 1000", "add where its value is in the line, as column: 1", under...)
		}
		return
	}
	r.Misplaced(map[string]bool{"column": column != 0}, " is for format: csv", under...)
	if path == "" {
		r.AddOnKey(what+" has no path", "add where its value is in the JSON, as path: sensor.temperature", under...)
	}
}

func (s Settings) validateTime(r *setting.Problems) {
	if len(s.Points) > 0 {
		s.validatePlace(r, s.Time.Path, s.Time.Column, "the time", "time")
	}
	if _, err := newClock(&Time{Zone: s.Time.Zone}); err != nil {
		r.Add(err.Error(), "use a name of the IANA time zones, as Europe/Prague", "time", "zone")
	} else if _, err := newClock(s.Time); err != nil {
		r.Add(err.Error(),
			`use iso8601, unix, unix_ms, unix_us, unix_ns or a layout, as "02.01.2006 15:04:05"`, "time", "format")
	}
}

func (v Value) validate() []setting.Problem {
	var r setting.Problems
	t, ok := LookupType(v.typeName())
	if !ok {
		v.unknownType(&r)
		return r
	}
	number, whole := t.Kind != KindBool && t.Kind != KindString, t.Kind == KindInt || t.Kind == KindUint
	if !number {
		r.Misplaced(map[string]bool{"scale": v.Scale != nil, "offset": v.Offset != nil,
			"deadband": v.Deadband != nil}, " is for numbers")
	}
	if !whole {
		r.Misplaced(map[string]bool{"enum": v.Enum != nil}, " is for integers")
	} else if v.Enum != nil {
		r.Misplaced(map[string]bool{"scale": v.Scale != nil, "offset": v.Offset != nil},
			" would change the number of an enum")
	}
	if t.Kind != KindBool {
		r.Misplaced(map[string]bool{"true_when": v.TrueWhen != nil, "false_when": v.FalseWhen != nil}, " is for type: bool")
	}
	for _, text := range v.TrueWhen {
		if slices.Contains(v.FalseWhen, text) {
			r.Add(fmt.Sprintf("%q is both true and false", text), "remove it from one", "false_when")
		}
	}
	v.validateEnum(&r)
	if v.Report != nil {
		r = append(r, setting.Under([]string{"report"}, v.Report.Validate(0))...)
	}
	return r
}

func (v Value) validateEnum(r *setting.Problems) {
	names := make(map[string]bool, len(v.Enum))
	for _, n := range slices.Sorted(maps.Keys(v.Enum)) {
		if names[v.Enum[n]] {
			r.Add(fmt.Sprintf("%q names two numbers", v.Enum[n]), "give each its own name", "enum", fmt.Sprint(n))
		}
		names[v.Enum[n]] = true
	}
}

func (v Value) unknownType(r *setting.Problems) {
	names := make([]string, len(valueTypes))
	for i := range valueTypes {
		names[i] = valueTypes[i].Name
	}
	fix := "use one of " + strings.Join(names, ", ")
	if near := setting.Suggest(v.Type, names); near != "" {
		fix = fmt.Sprintf("did you mean %q?", near)
	}
	r.Add(fmt.Sprintf("%q is not a type", v.Type), fix, "type")
}
