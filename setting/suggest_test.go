package setting

import (
	"strings"
	"testing"
)

func TestSuggest(t *testing.T) {
	words := []string{"certificate", "every", "float32", "holding", "type", "unit_id", "url"}
	for given, want := range map[string]string{
		"evry": "every", "eevry": "every", "Every": "every", "float_32": "float32", "flaot32": "float32",
		"hold": "holding", "unitId": "unit_id", "UNIT-ID": "unit_id", "cert": "certificate", "typ": "type",
		"color": "", "x": "", "": "", "uint": "",
	} {
		if got := Suggest(given, words); got != want {
			t.Errorf("%q: suggested %q, want %q", given, got, want)
		}
	}
	keys := []string{"url", "timeout", "retries", "pause", "unit_id", "unit"}
	for given, want := range map[string]string{
		"timout": "timeout", "tiemout": "timeout", "Timeout": "timeout", "unitid": "unit_id", "unit-id": "unit_id",
		"retry": "", "uri": "url", "ur": "url", "x": "", "something_else": "", "": "",
	} {
		if got := Suggest(given, keys); got != want {
			t.Errorf("%q: suggested %q, want %q", given, got, want)
		}
	}
	if got := Meant("evry", words, "else"); got != `did you mean "every"?` {
		t.Error(got)
	}
	if got := Meant("color", words, "else"); got != "else" {
		t.Error(got)
	}
	if d := distance("kitten", "sitting"); d != 3 {
		t.Errorf("distance %d, want 3", d)
	}
	if d := distance("ab", "ba"); d != 1 {
		t.Errorf("distance of a swap %d, want 1", d)
	}
}

func TestChoice(t *testing.T) {
	for want, names := range map[string][]string{
		"it has none": nil, "it has a": {"a"}, "it has a, b": {"b", "a"},
		"it has a, b, c, d, e, f, g, h, i, j and 2 more": strings.Split("lkjihgfedcba", ""),
	} {
		if got := Choice("it has", names); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
