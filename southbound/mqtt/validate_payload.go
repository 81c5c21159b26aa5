package mqtt

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// validatePayload checks how values are read; f is nil if the topic is wrong.
func (s Sensor) validatePayload(f *filter) []setting.Problem {
	var r report
	if !slices.Contains([]string{"", "json", "csv", formatSparkplug}, s.Format) {
		r.add(fmt.Sprintf("%q is no format", s.Format), "use json, csv or sparkplug-b", "format")
	}
	if s.Format != "csv" {
		r.misplaced([]given{{"skip_lines", s.SkipLines != 0}}, " is for format: csv")
	} else if s.SkipLines < 0 || s.SkipLines > 100 {
		r.add(fmt.Sprintf("%d is not from 0 to 100", s.SkipLines), "write how many lines at the top have no values, as skip_lines: 1", "skip_lines")
	}
	if s.Time != nil {
		s.validateTime(&r)
	}
	if len(s.Points) == 0 {
		s.validateSingle(&r, f)
		return r
	}
	r.misplaced([]given{{"point", s.Point != ""}, {"type", s.Type != ""}, {"unit", s.Unit != ""}, {"scale", s.Scale != nil}, {"offset", s.Offset != nil},
		{"enum", s.Enum != nil}, {"true_when", s.TrueWhen != nil}, {"false_when", s.FalseWhen != nil}, {"deadband", s.Deadband != nil}, {"report", s.Report != nil}},
		" is for a sensor without points, or for one of its points")
	if s.Points.all() {
		if s.Format == "csv" {
			r.addOnKey("points: all is for JSON: CSV has no names", "name the points, with column", "points")
		}
		return r
	}
	for _, name := range slices.Sorted(maps.Keys(s.Points)) {
		r = append(r, setting.Under([]string{"points", name}, s.validatePoint(name, s.Points[name]))...)
	}
	return r
}

// validateSparkplug checks a rule whose payloads describe themselves.
func (s Sensor) validateSparkplug() []setting.Problem {
	var r report
	if !strings.HasPrefix(s.Topic, sparkNamespace+"/") {
		r.add("Sparkplug B topics begin with "+sparkNamespace+"/", "write it as "+sparkNamespace+"/GROUP/#", "topic")
	}
	if strings.Contains(s.Topic, "{") {
		r.add("Sparkplug B topics are not captured from: they name group, node and device", "use + or #", "topic")
	}
	v := s.Value
	r.misplaced([]given{{"device", s.Device != ""}, {"point", s.Point != ""}, {"points", s.Points != nil}, {"time", s.Time != nil}, {"skip_lines", s.SkipLines != 0},
		{"type", v.Type != ""}, {"unit", v.Unit != ""}, {"scale", v.Scale != nil}, {"offset", v.Offset != nil}, {"enum", v.Enum != nil}, {"true_when", v.TrueWhen != nil}, {"false_when", v.FalseWhen != nil},
		{"deadband", v.Deadband != nil}, {"report", v.Report != nil}}, " means nothing with format: sparkplug-b, whose payloads say it")
	return r
}

// validateSingle checks a rule whose payload is one value.
func (s Sensor) validateSingle(r *report, f *filter) {
	if s.Format != "" {
		r.addOnKey("the sensor has a format but no points", "add points, or remove format if the payload is one value", "format")
	}
	if s.Time != nil {
		r.addOnKey("a payload of one value has no time", "remove it", "time")
	}
	*r = append(*r, s.Value.validate()...)
	if f == nil {
		return
	}
	t, err := parseTemplate(s.point(), f)
	switch {
	case err != nil && s.Point == "":
		r.addOnKey("the sensor has neither point nor points",
			"give point: a name if the payload is one value, or points with paths if it is JSON; or capture {point} in the topic")
	case err != nil:
		r.add(err.Error(), "use what the topic captures, or a fixed name", "point")
	case t.fixed() && !bridge.ValidPoint(s.Point):
		r.add(fmt.Sprintf("%q can't name a point", s.Point), fmt.Sprintf("use lower-case letters, digits and _, as %q", bridge.PointName(s.Point)), "point")
	}
}

func (s Sensor) validatePoint(name string, p Point) []setting.Problem {
	var r report
	if !bridge.ValidPoint(name) {
		r.addOnKey(fmt.Sprintf("%q can't name a point", name), fmt.Sprintf("use lower-case letters, digits and _, as %q", bridge.PointName(name)))
	}
	s.validatePlace(&r, p.Path, p.Column, "the point")
	return append(r, p.validate()...)
}

// validatePlace checks where something is in the payload.
func (s Sensor) validatePlace(r *report, path string, column int, what string, under ...string) {
	if s.Format == "csv" {
		r.misplaced([]given{{"path", path != ""}}, " is for JSON", under...)
		if column < 1 || column > 1000 {
			r.addOnKey(what+" has no column from 1 to 1000", "add where its value is in the line, as column: 1", under...)
		}
		return
	}
	r.misplaced([]given{{"column", column != 0}}, " is for format: csv", under...)
	if path == "" {
		r.addOnKey(what+" has no path", "add where its value is in the JSON, as path: sensor.temperature", under...)
	}
}

func (s Sensor) validateTime(r *report) {
	if len(s.Points) > 0 {
		s.validatePlace(r, s.Time.Path, s.Time.Column, "the time", "time")
	}
	if _, err := newClock(&Time{Zone: s.Time.Zone}); err != nil {
		r.add(err.Error(), "use a name of the IANA time zones, as Europe/Prague", "time", "zone")
	} else if _, err := newClock(s.Time); err != nil {
		r.add(err.Error(), `use iso8601, unix, unix_ms, unix_us, unix_ns or a layout, as "02.01.2006 15:04:05"`, "time", "format")
	}
}

func (v Value) validate() []setting.Problem {
	var r report
	t, ok := lookupType(v.typeName())
	if !ok {
		v.unknownType(&r)
		return r
	}
	number, whole := t.kind != typeBool && t.kind != typeString, t.kind == typeInt || t.kind == typeUint
	if !number {
		r.misplaced([]given{{"scale", v.Scale != nil}, {"offset", v.Offset != nil}, {"deadband", v.Deadband != nil}}, " is for numbers")
	}
	if !whole {
		r.misplaced([]given{{"enum", v.Enum != nil}}, " is for integers")
	} else if v.Enum != nil {
		r.misplaced([]given{{"scale", v.Scale != nil}, {"offset", v.Offset != nil}}, " would change the number of an enum")
	}
	if t.kind != typeBool {
		r.misplaced([]given{{"true_when", v.TrueWhen != nil}, {"false_when", v.FalseWhen != nil}}, " is for type: bool")
	}
	for _, text := range v.TrueWhen {
		if slices.Contains(v.FalseWhen, text) {
			r.add(fmt.Sprintf("%q is both true and false", text), "remove it from one", "false_when")
		}
	}
	v.validateEnum(&r)
	if v.Report != nil {
		r = append(r, setting.Under([]string{"report"}, v.Report.Validate(0))...)
	}
	return r
}

func (v Value) validateEnum(r *report) {
	names := make(map[string]bool, len(v.Enum))
	for _, n := range slices.Sorted(maps.Keys(v.Enum)) {
		if names[v.Enum[n]] {
			r.add(fmt.Sprintf("%q names two numbers", v.Enum[n]), "give each its own name", "enum", fmt.Sprint(n))
		}
		names[v.Enum[n]] = true
	}
}

func (v Value) unknownType(r *report) {
	names := make([]string, len(valueTypes))
	for i := range valueTypes {
		names[i] = valueTypes[i].name
	}
	fix := "use one of " + strings.Join(names, ", ")
	if near := nearest(v.Type, names); near != "" {
		fix = fmt.Sprintf("did you mean %q?", near)
	}
	r.add(fmt.Sprintf("%q is no type", v.Type), fix, "type")
}
