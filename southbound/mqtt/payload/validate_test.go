package payload

import (
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
