package mqtt

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestRoutesHaveABudget: who invents topics loses what is remembered of them; the
// others do not.
func TestRoutesHaveABudget(t *testing.T) {
	r := newRouter("local", nil, newDevices(nil, newNames(nil, slog.New(slog.DiscardHandler))), nil, 256<<10)
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

// TestShed: where memory is short what was seen on topics is forgotten, and a quarter of
// it is remembered from then on; then all of it again.
func TestShed(t *testing.T) {
	const memory = 4 << 20
	r := newRouter("local", nil, newDevices(nil, newNames(nil, slog.New(slog.DiscardHandler))), nil, memory/8)
	w := &way{}
	w.router.Store(r)
	s := &Source{memory: memory, brokers: map[string]*way{"local": w, "not yet": {}}}
	fill := func() (n int) {
		for i := range 2000 {
			r.route(fmt.Sprint("topic", i), fmt.Sprint("client", i%10))
		}
		return len(r.routes)
	}
	used := func() int64 { n, _ := r.bytes.Used(); return n }
	many, before := fill(), used()
	if gave := s.Shed(); gave != before || used() != 0 || len(r.routes) != 0 || s.Shed() != 0 {
		t.Errorf("it gave %d of %d bytes, %d are left", gave, before, used())
	}
	kept := r.route("topic1", "client1")
	if r.route("topic1", "client1") != kept {
		t.Error("a topic in use is not found again")
	}
	if n := fill(); n == 0 || n > many/4+1 || used() > memory/8/2/4 {
		t.Errorf("%d topics are remembered of %d, %d bytes", n, many, used())
	}
	s.Regain()
	if n := fill(); n <= many/4 || used() > memory/8/2 || used() <= memory/8/2/4 {
		t.Errorf("then %d topics are remembered, %d bytes", n, used())
	}
}
