package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/condition"
)

type part struct {
	metrics    []bridge.Metric
	conditions []condition.Condition
}

func (p part) Observe(yield func(bridge.Metric)) {
	for _, m := range p.metrics {
		yield(m)
	}
}
func (p part) Health() []condition.Condition { return p.conditions }

func get(t *testing.T, h http.Handler, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestMetrics(t *testing.T) {
	a := part{metrics: []bridge.Metric{
		{Name: "b_total", Help: "Two\nlines \\.", Kind: bridge.Counter, Labels: []string{"device", `a"b`, "x", "y\\"},
			Value: 1.5},
		{Name: "a", Help: "A.", Kind: bridge.Gauge, Value: 12345678901}}}
	b := part{metrics: []bridge.Metric{{Name: "b_total", Help: "ignored", Kind: bridge.Counter, Value: 0}}}
	v := &View{Metrics: []bridge.Observable{a, b}}
	w := get(t, v.Handler(), "GET", "/metrics")
	want := `# HELP a A.
# TYPE a gauge
a 1.2345678901e+10
# HELP b_total Two\nlines \\.
# TYPE b_total counter
b_total{device="a\"b",x="y\\"} 1.5
b_total 0
`
	if got := w.Body.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestHealth(t *testing.T) {
	warning := part{conditions: []condition.Condition{{Severity: condition.Warning, Subject: "uplink", Text: "down"}}}
	alarm := part{conditions: []condition.Condition{{Severity: condition.Alarm, Subject: "queue", Text: "full"}}}
	for _, tt := range []struct {
		name   string
		health []condition.Reporter
		code   int
		status string
		count  int
	}{
		{"well", nil, 200, "ok", 0},
		{"warning", []condition.Reporter{warning}, 200, "degraded", 1},
		{"alarm", []condition.Reporter{warning, alarm}, 503, "alarm", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := get(t, (&View{Health: tt.health}).Handler(), "GET", "/healthz")
			var got struct {
				Status     string
				Conditions []condition.Condition
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if w.Code != tt.code || got.Status != tt.status || len(got.Conditions) != tt.count {
				t.Errorf("got %d %+v", w.Code, got)
			}
		})
	}
}

func TestOnlyGet(t *testing.T) {
	h := (&View{Status: func() any { return nil }}).Handler()
	for _, path := range []string{"/", "/healthz", "/metrics", "/status"} {
		if w := get(t, h, "POST", path); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, w.Code)
		}
	}
}

// The page shows names that come from the network: the browser must take no
// script from them, and nothing from elsewhere.
func TestPage(t *testing.T) {
	h := (&View{}).Handler()
	for path, want := range map[string]string{"/": `<script src="page.js">`, "/page.js": `fetch("status"`} {
		w := get(t, h, "GET", path)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d, no %q", path, w.Code, want)
		}
		if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy,
			"default-src 'none'; script-src 'self'") {
			t.Errorf("%s: policy %q", path, policy)
		}
		for _, wrong := range []string{"innerHTML", "insertAdjacent", "document.write", "http:", "https:", "onclick"} {
			if strings.Contains(w.Body.String(), wrong) {
				t.Errorf("%s uses %s", path, wrong)
			}
		}
	}
	if w := get(t, h, "GET", "/other"); w.Code != http.StatusNotFound {
		t.Errorf("/other: %d", w.Code)
	}
}

func TestDevice(t *testing.T) {
	h := (&View{Device: func(name string) (any, error) {
		switch name {
		case "boiler 1":
			return map[string]string{"device": name}, nil
		case "busy":
			return nil, errors.New("too many")
		}
		return nil, fmt.Errorf("%w %s", ErrNoDevice, name)
	}}).Handler()
	for path, want := range map[string]string{"boiler%201": "200 {\n  \"device\": \"boiler 1\"\n}\n",
		"busy": "503 too many\n", "x": "404 there is no device x\n"} {
		w := get(t, h, "GET", "/devices/"+path)
		if got := fmt.Sprint(w.Code, " ", w.Body); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestServeEndsWithContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	v := &View{Status: func() any { return map[string]string{"gateway": "g"} }}
	done := make(chan struct{})
	go func() { defer close(done); ServeOn(ctx, l, v.Handler()) }()
	res, err := http.Get("http://" + l.Addr().String() + "/status")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if !strings.Contains(string(body), `"gateway": "g"`) {
		t.Errorf("got %s", body)
	}
	cancel()
	<-done
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("still listening")
	}
}

func TestTakenPortIsTriedAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var log strings.Builder
	tried := make(chan struct{})
	done := make(chan struct{})
	handler := slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		log.Write(p)
		close(tried) // a second message would panic
		return len(p), nil
	}), nil)
	go func() { defer close(done); (&View{}).Serve(ctx, Config{Listen: l.Addr().String()}, slog.New(handler)) }()
	<-tried
	cancel()
	<-done
	if !strings.Contains(log.String(), "change console.listen") {
		t.Errorf("log %s", log.String())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestValidate(t *testing.T) {
	for addr, want := range map[string]string{
		"": "", "127.0.0.1:8080": "", "[::1]:1": "", "localhost:80": "", "127.0.0.1": "error", "8080": "error",
		":80": "warning", "0.0.0.0:80": "warning", "[::]:80": "warning", "192.168.0.4:80": "warning",
	} {
		got := ""
		for _, p := range (&Config{Listen: addr}).Validate() {
			if got = "error"; p.Warning {
				got = "warning"
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", addr, got, want)
		}
	}
	c := Config{Listen: "127.0.0.1:80", Hosts: []string{"gateway-7.plant.example", "http://gateway-7", "gateway-7:80", ""}}
	if got := c.Validate(); len(got) != 3 {
		t.Errorf("hosts: %v", got)
	}
}
