package setting

import "testing"

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
}
