package awsiottest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shadowClient subscribes to all answers of a shadow.
func shadowClient(t *testing.T, c *Cloud, prefix string) *raw {
	t.Helper()
	r := join(t, c, "gateway-1")
	var filters []string
	for _, f := range []string{"get/accepted", "get/rejected", "update/accepted", "update/rejected", "update/delta",
		"update/documents",
		"delete/accepted", "delete/rejected"} {
		filters = append(filters, prefix+f)
	}
	r.subscribe(1, filters...)
	return r
}

// ask sends a request and returns the n answers by the end of their topics. The
// PUBACK comes after them.
func (r *raw) ask(prefix, action, payload string, n int) map[string]map[string]any {
	r.t.Helper()
	r.publish(prefix+action, 1, []byte(payload), nil)
	answers := make(map[string]map[string]any)
	acked := false
	for len(answers) < n || !acked {
		p := r.next()
		if p == nil {
			r.t.Fatalf("connection ended after %v", answers)
		}
		if p.Type == 4 {
			acked = true
			continue
		}
		m := asMessage(r, p)
		v := decode(r.t, m)
		delete(v, "timestamp")
		answers[strings.TrimPrefix(m.Topic, prefix)] = v
	}
	return answers
}

func TestLine43Shadow(t *testing.T) {
	for _, prefix := range []string{"$aws/things/gateway-1/shadow/", "$aws/things/gateway-1/shadow/name/gateway/"} {
		c := start(t, nil)
		r := shadowClient(t, c, prefix)
		got := r.ask(prefix, "update", `{"state":{"reported":{"a":1,"b":{"c":2,"d":3}}},"clientToken":"t1"}`, 2)
		stamp(got["update/accepted"])
		if diff := cmp.Diff(map[string]any{"state": map[string]any{"reported": map[string]any{"a": 1.0,
			"b": map[string]any{"c": 2.0, "d": 3.0}}},
			"version": 1.0, "clientToken": "t1"}, got["update/accepted"]); diff != "" {
			t.Errorf("accepted (-want +got):\n%s", diff)
		}
		// A desired value that differs makes a delta; a null deletes; objects merge.
		got = r.ask(prefix, "update",
			`{"state":{"desired":{"a":2,"b":{"c":2}},"reported":{"b":{"d":null,"e":4}}},"version":1}`, 3)
		stamp(got["update/delta"])
		if diff := cmp.Diff(map[string]any{"state": map[string]any{"a": 2.0}, "version": 2.0},
			got["update/delta"]); diff != "" {
			t.Errorf("delta (-want +got):\n%s", diff)
		}
		current := got["update/documents"]["current"].(map[string]any)
		if diff := cmp.Diff(map[string]any{"desired": map[string]any{"a": 2.0, "b": map[string]any{"c": 2.0}},
			"reported": map[string]any{"a": 1.0, "b": map[string]any{"c": 2.0, "e": 4.0}}}, current["state"]); diff != "" {
			t.Errorf("document (-want +got):\n%s", diff)
		}
		got = r.ask(prefix, "get", "", 1)
		state := got["get/accepted"]["state"].(map[string]any)
		if diff := cmp.Diff(map[string]any{"a": 2.0}, state["delta"]); diff != "" || got["get/accepted"]["version"] != 2.0 {
			t.Errorf("get %v", got)
		}
		for _, tt := range []struct {
			action, payload string
			code            float64
		}{
			{"update", `{"state":{"reported":{"a":1}},"version":1}`, 409},
			{"update", `{"state":{"reported":{"a":"` + strings.Repeat("x", 8<<10) + `"}}}`, 413},
			{"update", `{"state":{"reported":{"a":1}},"clientToken":"` + strings.Repeat("x", 65) + `"}`, 400},
			{"update", `{"state":`, 400}, {"update", `{"reported":{}}`, 400}, {"update", `{"state":{"reported":7}}`, 400},
			{"update", `{"state":{"reported":` + strings.Repeat(`{"a":`, 9) + `1` + strings.Repeat(`}`, 9) + `}}`, 400},
		} {
			got := r.ask(prefix, tt.action, tt.payload, 1)
			if got["update/rejected"]["code"] != tt.code {
				t.Errorf("%.60s: %v, want %v", tt.payload, got, tt.code)
			}
		}
		// The version goes on after a delete.
		if got := r.ask(prefix, "delete", "", 1); got["delete/accepted"]["version"] != 2.0 {
			t.Errorf("delete %v", got)
		}
		if got := r.ask(prefix, "update", `{"state":{"reported":{"a":1}}}`, 2); got["update/accepted"]["version"] != 3.0 {
			t.Errorf("after the delete: %v", got)
		}
	}
}

// stamp takes out the metadata after a look at it.
func stamp(answer map[string]any) { delete(answer, "metadata") }

func TestLine43RequestsInFlight(t *testing.T) {
	const prefix = "$aws/things/gateway-1/shadow/"
	inBubble(t, func(o *Options) { o.ShadowDelay = time.Second }, func(t *testing.T, c *Cloud) {
		r := shadowClient(t, c, prefix)
		for range 11 {
			r.publish(prefix+"get", 1, nil, nil)
		}
		codes := make(map[float64]int)
		for range 22 {
			if p := r.next(); p.Type != 4 {
				codes[decode(t, asMessage(r, p))["code"].(float64)]++
			}
		}
		if diff := cmp.Diff(map[float64]int{404: 10, 429: 1}, codes); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
	})
}

func TestLine44NoShadow(t *testing.T) {
	const prefix = "$aws/things/gateway-1/shadow/name/none/"
	r := shadowClient(t, start(t, nil), prefix)
	for _, action := range []string{"get", "delete"} {
		if got := r.ask(prefix, action, `{"clientToken":"x"}`, 1)[action+"/rejected"]; got["code"] != 404.0 ||
			got["clientToken"] != "x" {
			t.Errorf("%s: %v", action, got)
		}
	}
}
