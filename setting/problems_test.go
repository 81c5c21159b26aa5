package setting

import (
	"fmt"
	"testing"
)

func TestProblems(t *testing.T) {
	var p Problems
	if err := FirstError(p); err != nil {
		t.Errorf("no problem: %v", err)
	}
	under := make([]string, 1, 4)
	under[0] = "tls"
	p = append(p, Problem{Path: []string{"a"}, Text: "odd", Warning: true})
	p.Misplaced(map[string]bool{"d": true, "c": false, "b": true}, " is for a broker", under...)
	p.Add("too large", "use 1", "e", "f")
	want := `[{[a] false odd  true} {[tls b] true b is for a broker remove it false} ` +
		`{[tls d] true d is for a broker remove it false} {[e f] false too large use 1 false}]`
	if got := fmt.Sprint(p); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := FirstError(p); err == nil || err.Error() != "tls.b: b is for a broker: remove it" {
		t.Errorf("first error: %v", err)
	}
}
