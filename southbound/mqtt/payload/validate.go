package payload

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"fieldbridge/bridge"
	"fieldbridge/order"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/topic"
)

// Validate returns everything that is wrong with s, but for Sparkplug, where
// only what is delivered may be said.
func (s Settings) Validate() []setting.Problem {
	var r setting.Problems
	switch {
	case !slices.Contains([]string{"", JSON, CSV, CBOR, Msgpack, Bytes, PlainText, Sparkplug}, s.Format):
		r.Add(fmt.Sprintf("%q is not a format", s.Format), "use json, csv, text, cbor, msgpack, bytes or sparkplug-b",
			"format")
	}
	if !Exact && s.leftOut() {
		r.AddOnKey("the rule has what the small build leaves out "+
			"(then_each, quality, after, until, any, text, parts of time)",
			"run the whole fieldbridge")
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
	s.validateElements(&r)
	r = append(r, setting.Under([]string{"thin"}, s.Thin.Validate())...)
	if len(s.Points) == 0 {
		return append(r, s.validateSingle()...)
	}
	how := s.how()
	how["path"] = s.Path != "" && !s.Points.All()
	r.Misplaced(how, " is for a sensor without points, or for one of its points")
	if s.Points.All() {
		switch s.Format {
		case CSV:
			r.AddOnKey("points: all is for JSON: CSV has no names", "name the points, with column", "points")
		case Bytes:
			r.AddOnKey("points: all is for JSON: bytes have no names", "name the points, with at", "points")
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
	given["each"], given["then_each"], given["quality"] = s.Each != "", s.ThenEach != "", s.Quality != nil
	given["path"] = s.Path != ""
	given["points"], given["time"], given["skip_lines"] = s.Points != nil, s.Time != nil, s.SkipLines != 0
	r.Misplaced(given, DescribesItself)
	return append(r, setting.Under([]string{"thin"}, s.Thin.Validate())...)
}

// DescribesItself is what is wrong with a key that says what a Sparkplug payload
// says.
const DescribesItself = " means nothing with format: sparkplug-b, whose payloads say it"

// how lists the keys that say how one value is read, and which of them are given.
func (v *Value) how() map[string]bool {
	return map[string]bool{"type": v.Type != "", "unit": v.Unit != "", "decimal": v.Decimal != "", "scale": v.Scale != nil,
		"offset": v.Offset != nil, "enum": v.Enum != nil, "true_when": v.TrueWhen != nil,
		"false_when": v.FalseWhen != nil, "invalid": v.Invalid != nil, "after": v.After != "", "until": v.Until != "",
		"deadband": v.Deadband != nil, "report": v.Report != nil}
}

// validateSingle checks settings for a payload that is one value.
func (s Settings) validateSingle() []setting.Problem {
	var r setting.Problems
	parts := s.Each != "" || s.Path != ""
	if !slices.Contains([]string{"", CBOR, Msgpack}, s.Format) && !parts {
		r.AddOnKey("the sensor has a format but no points",
			"add points, or remove format if the payload is one value", "format")
	}
	if s.Time != nil && !parts {
		r.AddOnKey("a payload of one value has no time", "remove it", "time")
	}
	return append(r, s.validate()...)
}

// validateElements checks how a payload is taken to pieces, and what names it has.
func (s Settings) validateElements(r *setting.Problems) {
	if Exact && s.ThenEach != "" && s.Each == "" {
		r.AddOnKey("there is no each", "add each, whose elements have the lists of then_each in them", "then_each")
	}
	if q := s.Quality; Exact && q != nil {
		s.validatePlace(r, q.Path, q.Column, "what says how good the values are", "quality")
		if len(q.Good) == 0 {
			r.AddOnKey("quality does not say what is good", "add what stands there of good values, as good: [true, 192]",
				"quality")
		}
	}
	if s.Format == CSV {
		r.Misplaced(map[string]bool{"each": s.Each != "", "path": s.Path != ""},
			" is for JSON: each line of CSV is read for itself")
		for _, path := range s.Device {
			if n, err := strconv.Atoi(strings.TrimSuffix(path, topic.Optional)); err != nil || n < 1 || n > 1000 {
				r.Add("{."+path+"} is no column", "write the number of the column with the name, from 1, as {.1}", "device")
			}
		}
		return
	}
	if s.Format == Bytes || s.Format == PlainText {
		r.Misplaced(map[string]bool{"each": s.Each != "", "time": s.Time != nil && s.Format == Bytes,
			"quality": s.Quality != nil}, " is for JSON and CSV")
		given := map[string]bool{"device": s.Device != nil, "point": s.Point != nil}
		r.Misplaced(given, " has a {.path}, and bytes have none")
		return
	}
	if len(s.Points) == 0 && s.Each == "" && s.Path == "" {
		given := map[string]bool{"device": s.Device != nil, "point": s.Point != nil}
		r.Misplaced(given, " has a {.path}, but the whole payload is one value: it needs path or points")
	}
	for key, paths := range map[string][]string{"device": s.Device, "point": s.Point} {
		if s.Each == "" && slices.Contains(paths, topic.Key) {
			r.Add("{@key} is the key of an element, and there is no each", "add each, or use {.path}", key)
		}
	}
}

func (s Settings) validatePoint(name string, p Point) []setting.Problem {
	var r setting.Problems
	if !bridge.ValidPoint(name) {
		r.AddOnKey(fmt.Sprintf("%q cannot name a point", name),
			fmt.Sprintf("use lower-case letters, digits and _, as %q", bridge.PointName(name)))
	}
	s.validatePlace(&r, p.Path, p.Column, "the point")
	s.validateOctets(&r, p)
	if Exact && s.Format == PlainText && p.After == "" && p.Until == "" {
		r.AddOnKey("the point has neither after nor until", `say what stands before its value, as after: "T="`)
	}
	if s.Format == Bytes || p.Encoding != "" {
		r.Misplaced(map[string]bool{"after": p.After != "", "until": p.Until != "", "invalid": false}, " is for texts")
	}
	if p.UnitPath != "" && (p.Unit == "" || s.Format == CSV || s.Format == Bytes) {
		r.AddOnKey("unit_path is for a point of JSON with a unit", "add the unit that its numbers are in", "unit_path")
	}
	if s.Format == Bytes || p.Encoding != "" {
		p.Type = octetType(p)
	}
	r = append(r, setting.Under([]string{"thin"}, p.Thin.Forbids(name, p.Unit))...)
	if p.Thin != nil && p.Report != nil {
		r.AddOnKey("a report's readings are aggregates already", "remove thin or report", "thin")
	}
	if thin := newThin(p.Thin); thin != nil {
		for _, other := range thin.Names(name) {
			if _, taken := s.Points[other]; taken {
				r.AddOnKey("an aggregate of it would be called "+other+", as another point is", "rename one of them, or thin: off")
			}
		}
	}
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
	if Exact && s.Format == PlainText {
		r.Misplaced(map[string]bool{"path": path != ""}, " is for JSON: say with after and until where in the text it is",
			under...)
		return
	}
	if s.Format == Bytes {
		r.Misplaced(map[string]bool{"path": path != ""}, " is for JSON: say with at where in the bytes it is", under...)
		return
	}
	if Exact {
		warnOfBrackets(r, path, under)
	}
	if path == "" && (s.Each == "" || len(s.Points) > 0) {
		r.AddOnKey(what+" has no path", "add where its value is in the JSON, as path: sensor.temperature", under...)
	}
}

func warnOfBrackets(r *setting.Problems, path string, under []string) {
	if dotted, ok := bracketed(path); ok {
		*r = append(*r, setting.Problem{Path: append(under, "path"), Warning: true,
			Text: fmt.Sprintf("the path %s has an index in brackets, which is taken for a part of the key", path),
			Fix:  "write " + dotted + " for an element of a list"})
	}
}

// bracketed returns a path in which JSONPath's [0] behind a key is written as GJSON has
// it; false if there is none.
func bracketed(path string) (dotted string, ok bool) {
	for rest := path; rest != ""; {
		begin := strings.IndexByte(rest, '[')
		if begin < 0 {
			return dotted + rest, ok
		}
		n := digits(rest[begin+1:])
		key := strings.TrimSuffix(rest[:begin], ".")
		end := begin + 1 + n
		last, _ := utf8.DecodeLastRuneInString(key)
		behind := key == "" && ok || last == '_' || unicode.IsLetter(last) || unicode.IsDigit(last)
		if n == 0 || !behind || end >= len(rest) || rest[end] != ']' ||
			end+1 < len(rest) && rest[end+1] != '.' && rest[end+1] != '[' {
			return path, false // a query, or brackets that are meant, as in /port[2]/pdin
		}
		dotted, rest, ok = dotted+key+"."+rest[begin+1:end], rest[end+1:], true
	}
	return dotted, ok
}

func (s Settings) validateTime(r *setting.Problems) {
	if len(s.Points) > 0 || s.Each != "" || s.Path != "" {
		s.validatePlace(r, s.Time.Path, s.Time.Column, "the time", "time")
	}
	if Exact {
		s.validateClock(r)
	}
	if a := s.Time.MaxAge; a != nil && a.D() <= 0 {
		r.Add("max_age is "+a.String(), "use how old a time may be, as 30d", "time", "max_age")
	}
	if a := s.Time.MaxAhead; a != nil && a.D() < 0 {
		r.Add("max_ahead is "+a.String(), "use how far ahead a time may be, as 10m", "time", "max_ahead")
	}
	if _, err := newClock(&Time{Zone: s.Time.Zone}); err != nil {
		r.Add(err.Error(), "use a name of the IANA time zones, as Europe/Prague", "time", "zone")
	} else if _, err := newClock(s.Time); err != nil {
		r.Add(err.Error(),
			`use iso8601, unix, unix_ms, unix_us, unix_ns or a layout, as "02.01.2006 15:04:05"`, "time", "format")
	}
}

// leftOut reports whether s has what the small build leaves out.
func (s Settings) leftOut() bool {
	if t := s.Time; t != nil && (t.DatePath != "" || t.DateColumn != 0 || t.Base != "" || t.Step != 0) {
		return true
	}
	for _, p := range s.Points {
		if p.leftOut() {
			return true
		}
	}
	return s.Value.leftOut() || s.ThenEach != "" || s.Quality != nil || s.Format == PlainText
}

func (v *Value) leftOut() bool { return v.After != "" || v.Until != "" || v.Type == anyType }

// validateClock checks what a time is put together of.
func (s Settings) validateClock(r *setting.Problems) {
	t, text := s.Time, s.Format == PlainText
	r.Misplaced(map[string]bool{"date_path": t.DatePath != "" && (s.Format == CSV || text), "base": t.Base != "" &&
		(s.Format == CSV || text),
		"step": t.Step != 0 && s.Each == ""}, " is for JSON, step for each", "time")
	r.Misplaced(map[string]bool{"date_column": t.DateColumn != 0 && s.Format != CSV}, " is for format: csv", "time")
	r.Misplaced(map[string]bool{"after": t.After != "" && !text, "until": t.Until != "" && !text},
		" is for format: text", "time")
	if text && t.After == "" && t.Until == "" {
		r.AddOnKey("the time has neither after nor until", `say what stands before it, as after: "at "`, "time")
	}
	if some := []bool{t.DatePath != "" || t.DateColumn != 0, t.Base != "", t.Step != 0}; slices.Index(some, true) != -1 &&
		slices.Contains(some[slices.Index(some, true)+1:], true) {
		r.AddOnKey("a time has a date elsewhere, a base or a step, not two of them", "keep one", "time")
	}
}

func (v Value) validate() []setting.Problem {
	var r setting.Problems
	t, ok := LookupType(v.typeName())
	if !ok {
		v.unknownType(&r)
		return r
	}
	number, whole := t.Kind < KindBool, t.Kind == KindInt || t.Kind == KindUint
	if !slices.Contains([]string{"", ".", ","}, v.Decimal) {
		r.Add(fmt.Sprintf("decimal is %q", v.Decimal), `use "." or ","`, "decimal")
	}
	if !number {
		r.Misplaced(map[string]bool{"decimal": v.Decimal != "", "scale": v.Scale != nil, "offset": v.Offset != nil,
			"deadband": v.Deadband != nil}, " is for numbers")
	}
	if !whole {
		r.Misplaced(map[string]bool{"enum": v.Enum != nil}, " is for integers")
	} else if v.Enum != nil {
		r.Misplaced(map[string]bool{"scale": v.Scale != nil, "offset": v.Offset != nil, "decimal": v.Decimal != ""},
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
	for _, n := range order.Sorted(maps.Keys(v.Enum), cmp.Compare[int64]) {
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
