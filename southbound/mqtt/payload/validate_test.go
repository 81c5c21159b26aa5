package payload

import (
	"slices"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

func TestValidate(t *testing.T) {
	points := func(p Point) Settings { return Settings{Points: Points{"p": p}} }
	yes := true
	for _, c := range []struct {
		settings Settings
		want     string // paths of the problems
	}{
		{Settings{Points: AllPoints()}, ""},
		{Settings{Points: Points{"*": {}}}, "points.* points.*"},
		{Settings{Points: AllPoints(), Format: "csv"}, "points"},
		{Settings{Points: AllPoints(), Value: Value{OnChange: &yes}}, ""},
		{Settings{Points: AllPoints(), Value: Value{Enum: map[int64]string{}, TrueWhen: []string{"x"}}}, "enum true_when"},
		{Settings{Format: "csv"}, "format"},
		{Settings{Points: Points{"p": {Column: 1}}, Format: "csv", SkipLines: -1}, "skip_lines"},
		{Settings{Points: Points{"p": {Path: "x"}}, SkipLines: 1}, "skip_lines"},
		{Settings{Format: "xml"}, "format format"},
		{Settings{Time: &Time{Path: "t"}}, "time"},
		{Settings{Points: Points{"p": {Path: "x"}}, Time: &Time{}}, "time"},
		{Settings{Points: Points{"p": {Path: "x"}}, Time: &Time{Path: "t", Format: "unixx"}}, "time.format"},
		{Settings{Points: Points{"p": {Path: "x"}}, Time: &Time{Path: "t", Zone: "Europe/Brno"}}, "time.zone"},
		{Settings{Points: Points{"p": {Column: 1}}, Format: "csv", Time: &Time{Path: "t"}}, "time.path time"},
		{Settings{Points: Points{"p": {Path: "x"}}, Format: "csv"}, "points.p.path points.p"},
		{points(Point{Column: 1}), "points.p.column points.p"},
		{points(Point{Path: "x", Value: Value{Type: "float32", Enum: map[int64]string{1: "a"}}}), "points.p.enum"},
		{points(Point{Path: "x", Value: Value{Scale: &bridge.Decimal{Coef: 2}, Enum: map[int64]string{1: "a"}}}),
			"points.p.scale"},
		{points(Point{Path: "x", Value: Value{Enum: map[int64]string{1: "a", 2: "a"}}}), "points.p.enum.2"},
		{points(Point{Path: "x", Value: Value{TrueWhen: []string{"a"}, FalseWhen: []string{"a"}}}), "points.p.false_when"},
		{points(Point{Path: "x", Value: Value{Type: "int8", TrueWhen: []string{"a"}}}), "points.p.true_when"},
		{points(Point{Path: "x", Value: Value{Type: "string", Deadband: &setting.Deadband{Value: 1}}}), "points.p.deadband"},
		{points(Point{Path: "x", Value: Value{Report: &setting.Report{Every: setting.Duration(time.Minute)}}}),
			"points.p.report.as"},
	} {
		var got []string
		for _, p := range c.settings.Validate() {
			got = append(got, strings.Join(p.Path, "."))
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("%+v: got problems at %q, want %q", c.settings, g, c.want)
		}
	}
}

// A time is put together in one way alone.
func TestValidateTimeOfTwoKinds(t *testing.T) {
	s := Settings{Points: Points{"t": {Path: "t"}}, Time: &Time{Path: "t", Base: "b", DatePath: "d"}}
	if p := s.Validate(); len(p) != 1 || p[0].Fix != "keep one" {
		t.Errorf("told: %+v", p)
	}
}

// What the keys of parts, texts, times and qualities must have beside them.
func TestValidateParts(t *testing.T) {
	at, in := Points{"t": {Path: "t"}}, Points{"t": {Value: Value{After: "T="}}}
	column := Points{"t": {Column: 1}}
	for want, s := range map[string]Settings{
		"":                  {Each: "a", ThenEach: "b", Points: at, Quality: &Quality{Path: "q", Good: Words{"1"}}},
		"then_each":         {ThenEach: "b", Points: at},
		"quality":           {Points: at, Quality: &Quality{Path: "q"}},
		"quality.path":      {Points: column, Format: CSV, Quality: &Quality{Path: "q", Column: 2, Good: Words{"1"}}},
		"time.step":         {Points: at, Time: &Time{Path: "t", Step: 1}},
		"time.after":        {Points: at, Time: &Time{Path: "t", After: "x"}},
		"time":              {Points: in, Format: PlainText, Time: &Time{}},
		"time.date_column":  {Points: at, Time: &Time{Path: "t", DateColumn: 1}},
		"time.date_path":    {Points: column, Format: CSV, Time: &Time{Column: 1, DatePath: "d"}},
		"points.t":          {Points: Points{"t": {}}, Format: PlainText},
		"points.t.path":     {Points: Points{"t": {Path: "x", Value: Value{After: "T="}}}, Format: PlainText},
		"points.t.after":    {Points: Points{"t": {Value: Value{After: "T="}}}, Format: Bytes},
		"each quality":      {Points: in, Format: PlainText, Each: "x", Quality: &Quality{Good: Words{"1"}}},
		"points.t.deadband": {Points: Points{"t": {Path: "t", Value: Value{Type: "any", Deadband: new(setting.Deadband)}}}},
		"path":              {Points: at, Path: "x"},
		"points.t.encoding": {Points: Points{"t": {Path: "t", Encoding: "octal"}}},
	} {
		var got []string
		for _, p := range s.Validate() {
			if !p.Warning && !slices.Contains(got, strings.Join(p.Path, ".")) {
				got = append(got, strings.Join(p.Path, "."))
			}
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%+v: told at %q, want %q", s, text, want)
		}
	}
}
