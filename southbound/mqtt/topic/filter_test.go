package topic

import (
	"strings"
	"testing"
)

func TestFilterMatch(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		captures      string // "-" if it does not match
	}{
		{"a/b", "a/b", ""},
		{"a/b", "a/c", "-"},
		{"a/b", "a", "-"},
		{"a/b", "a/b/c", "-"},
		{"a/+", "a/b", ""},
		{"a/+", "a/", ""},
		{"a/+", "a", "-"},
		{"#", "a/b", ""},
		{"#", "$SYS/x", "-"},
		{"+/x", "$SYS/x", "-"},
		{"{d}/x", "$SYS/x", "-"},
		{"$SYS/{x}", "$SYS/up", "up"},
		{"a/#", "a", ""},
		{"a/#", "a/b/c", ""},
		{"a/#", "ab", "-"},
		{"{device}/{point}", "x/y", "x,y"},
		{"{device}/+/{point}", "x/y/z", "x,z"},
		{"/{d}", "/x", "x"},
		{"{d}/#", "x", "x"},
		{"a/{d}/#", "a/x/y/z", "x"},
		{"a//b", "a//b", ""},
		{"é/{d}", "é/ü", "ü"},
		{"N/{d}/{p#}", "N/x/Dc/0/Voltage", "x,Dc/0/Voltage"},
		{"N/{d}/{p#}", "N/x/Soc", "x,Soc"},
		{"N/{d}/{p#}", "N/x", "-"},
		{"N/{d}/{p#}", "N/x/", "x,"},
		{"{p#}", "a/b", "a/b"},
		{"{p#}", "$SYS/b", "-"},
	} {
		f, err := Parse(c.filter)
		if err != nil {
			t.Errorf("%s: %v", c.filter, err)
			continue
		}
		got := "-"
		if captures, ok := f.Match(c.topic, nil); ok {
			got = strings.Join(captures, ",")
		}
		if got != c.captures {
			t.Errorf("%s matches %s: got %q, want %q", c.filter, c.topic, got, c.captures)
		}
	}
}

func TestFilterErrors(t *testing.T) {
	for _, s := range []string{"", "a/#/b", "a#", "a+/b", "{a}{b}", "x{a}", "{a}/{a}", "{A}", "{}",
		"{a#}/b", "{#}", "{a}/{a#}", "{A#}", "x{a#}", "a/}", "$share/g/a", "a\x00", "\xff", strings.Repeat("a", 65536)} {
		if _, err := Parse(s); err == nil {
			t.Errorf("%.20q is accepted", s)
		}
	}
}

func TestFilterString(t *testing.T) {
	for in, want := range map[string]string{"#": "#", "a/{d}/+/#": "a/+/+/#", "/{d}": "/+",
		"a//": "a//", "{d}": "+", "a/{d}/{p#}": "a/+/#", "{p#}": "#"} {
		f, err := Parse(in)
		if err != nil || f.String() != want {
			t.Errorf("%s: got %s, %v, want %s", in, f.String(), err, want)
		}
	}
}

func TestFilterCovers(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"#", "a/b", true}, {"#", "$SYS/a", false}, {"+/a", "$SYS/a", false}, {"a/#", "a", true}, {"a/#",
			"a/+/#", true}, {"a/+", "a/#", false},
		{"a/{d}", "a/+", true}, {"a/b", "a/{d}", false}, {"a/{d}", "a/b", true}, {"a/+/c", "a/b", false},
		{"a", "a", true}, {"a", "a/#", false},
		{"a/{p#}", "a/#", false}, {"a/{p#}", "a", false}, {"a/{p#}", "a/b/c", true}, {"a/#", "a/{p#}", true},
		{"a/{p#}", "a/{q#}", true}, {"a/{p#}", "a/+/#", true},
	} {
		a, _ := Parse(c.a)
		b, _ := Parse(c.b)
		if got := a.Covers(&b); got != c.want {
			t.Errorf("%s covers %s: got %v", c.a, c.b, got)
		}
	}
}

// FuzzFilter checks filters against a slow reading of the specification, and
// that a filter that covers another matches what that matches.
func FuzzFilter(f *testing.F) {
	f.Add("a/{d}/#", "a/+/c", "a/b/c")
	f.Add("#", "$SYS/#", "$SYS/x")
	f.Add("+/+", "{a}/{b}", "/")
	f.Add("a/{d}/{p#}", "a/{p#}", "a/b/c")
	f.Fuzz(func(t *testing.T, one, other, topic string) {
		a, err := Parse(one)
		if err != nil || topic == "" {
			return
		}
		captures, ok := a.Match(topic, nil)
		want := matchSlowly(a.String(), topic) && (!a.tail || strings.Count(topic, "/") >= len(a.levels))
		if ok != want {
			t.Fatalf("%q matches %q: got %v, want %v", one, topic, ok, want)
		}
		if ok && len(captures) != len(a.names) {
			t.Fatalf("%q of %q captured %q", one, topic, captures)
		}
		b, err := Parse(other)
		if err != nil || !b.Covers(&a) {
			return
		}
		if _, both := b.Match(topic, nil); ok && !both {
			t.Fatalf("%q covers %q but does not match %q", other, one, topic)
		}
	})
}

func matchSlowly(filter, topic string) bool {
	if topic[0] == '$' && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i := range f {
		switch {
		case f[i] == "#":
			return true
		case i >= len(t) || f[i] != "+" && f[i] != t[i]:
			return false
		}
	}
	return len(f) == len(t)
}

func TestTemplate(t *testing.T) {
	f, _ := Parse("{area}/{no}")
	for in, want := range map[string]string{"{area}": "north", "{area}-{no}": "north-7", "x": "x",
		"x{no}y": "x7y", "{no}{no}": "77"} {
		tmpl, err := ParseTemplate(in, &f)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := tmpl.Expand([]string{"north", "7"}); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	tmpl, err := ParseTemplate("{area}-{.id}-{.channel?}", &f)
	if err != nil || strings.Join(tmpl.Paths(), " ") != "id channel?" {
		t.Errorf("paths: %v, %v", tmpl.Paths(), err)
	}
	for want, read := range map[string][]string{"north-5-1": {"5", "1"}, "north-5": {"5", ""}} {
		if got := tmpl.Expand([]string{"north", "7"}, read...); got != want {
			t.Errorf("%v: got %s, want %s", read, got, want)
		}
	}
	for _, in := range []string{"{x}", "{area", "area}", "{}"} {
		if _, err := ParseTemplate(in, &f); err == nil {
			t.Errorf("%s is accepted", in)
		}
	}
}
