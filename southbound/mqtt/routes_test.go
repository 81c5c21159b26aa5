package mqtt

import (
	"fmt"
	"strings"
	"testing"
)

// TestRoutesHaveABudget: who invents topics loses what is remembered of them; the
// others do not.
func TestRoutesHaveABudget(t *testing.T) {
	r := newRouter("local", nil, newDevices(nil), nil, 256<<10)
	modest := r.route("modest", "m")
	for i := range 2000 {
		r.route(fmt.Sprint(i, strings.Repeat("x", 900)), "u\x00greedy")
		if used, most := r.bytes.Used(); used > most || len(r.routes) > 300 {
			t.Fatalf("%d of %d bytes, %d routes", used, most, len(r.routes))
		}
	}
	if r.route("modest", "m") != modest {
		t.Error("another's topic was forgotten")
	}
	long := strings.Repeat("x", 2000)
	if first := r.route(long, "m"); r.route(long, "m") == first {
		t.Error("a topic of 2,000 bytes is remembered")
	}
	h := r.health()
	if len(h) != 1 || !strings.Contains(h[0].Text, `"greedy" of user "u"`) {
		t.Errorf("health: %v", h)
	}
}
