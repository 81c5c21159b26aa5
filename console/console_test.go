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
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/needtest"
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

// Alarms come first, then what began first, whoever raised it.
func TestConditionsAreSorted(t *testing.T) {
	at := func(k *condition.Kind, subject string, second int64) part {
		return part{conditions: []condition.Condition{k.At(subject, time.Unix(second, 0), "", "", "")}}
	}
	v := &View{Health: []condition.Reporter{at(condition.UplinkDown, "uplink", 3), at(condition.SensorSilent, "a", 9),
		at(condition.DeviceDown, "b", 1), at(condition.SensorSilent, "c", 5), at(condition.DeviceDown, "a", 1)}}
	var got []string
	for _, c := range v.Conditions() {
		got = append(got, c.Subject)
	}
	if want := "c a a b uplink"; strings.Join(got, " ") != want {
		t.Errorf("%s, want %s", got, want)
	}
	var health struct{ Conditions []condition.Condition }
	if err := json.Unmarshal(get(t, v.Handler(), "GET", "/healthz").Body.Bytes(), &health); err != nil ||
		len(health.Conditions) != len(got) || health.Conditions[0].Subject != "c" {
		t.Errorf("/healthz: %+v, %v", health, err)
	}
}

// What counts for HTTP is a choice; what is wrong is told all the same.
func TestHealthz(t *testing.T) {
	silent := part{conditions: []condition.Condition{condition.SensorSilent.At("device oven", time.Now(), "", "", "")}}
	down := part{conditions: []condition.Condition{condition.UplinkDown.At("uplink", time.Now(), "")}}
	for _, tt := range []struct {
		healthz *Healthz
		part    part
		code    int
		status  string
	}{
		{nil, silent, 503, "alarm"},
		{&Healthz{}, silent, 503, "alarm"},
		{&Healthz{Except: []string{"sensor_silent"}}, silent, 200, "alarm"},
		{&Healthz{Except: []string{"sensor_quiet"}}, silent, 503, "alarm"},
		{&Healthz{FailOn: "warning"}, down, 503, "degraded"},
		{&Healthz{FailOn: "warning", Except: []string{"uplink_down"}}, down, 200, "degraded"},
		{&Healthz{FailOn: "alarm"}, down, 200, "degraded"},
		{&Healthz{FailOn: "nothing"}, silent, 200, "alarm"},
	} {
		v := &View{Health: []condition.Reporter{tt.part}}
		v.SetHealthz(tt.healthz)
		w := get(t, v.Handler(), "GET", "/healthz")
		if w.Code != tt.code || !strings.Contains(w.Body.String(), `"status": "`+tt.status+`"`) {
			t.Errorf("%+v: %d %s", tt.healthz, w.Code, w.Body)
		}
	}
	c := Config{Healthz: &Healthz{FailOn: "error", Except: []string{"sensor_silnet"}}}
	if p := c.Validate(); len(p) != 2 || p[1].Fix != `did you mean "sensor_silent"?` {
		t.Errorf("problems: %+v", p)
	}
}

func TestOnlyGet(t *testing.T) {
	h := (&View{Status: func() any { return nil }}).Handler()
	for _, path := range []string{"/", "/device/d", "/devices/d", "/page.js", "/healthz", "/metrics", "/status"} {
		if w := get(t, h, "POST", path); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, w.Code)
		}
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

// A port that is taken is a condition until it is free.
func TestTakenPortIsTriedAgain(t *testing.T) {
	l, err := net.Listen("tcp", needtest.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done, v := make(chan struct{}), new(View)
	config := Config{Listen: l.Addr().String()}
	go func() { defer close(done); v.Serve(ctx, config, slog.New(slog.DiscardHandler)) }()
	until(t, func() bool { return len(v.Conditions()) > 0 })
	if c := v.Conditions()[0]; c.Code != "console_closed" || !strings.Contains(c.Text, "another program has the port") ||
		v.URL() != "" {
		t.Errorf("%+v, page at %q", c, v.URL())
	}
	l.Close()
	until(t, func() bool { return v.URL() != "" })
	if c := v.Conditions(); len(c) != 0 {
		t.Errorf("listening: %v", c)
	}
	cancel()
	<-done
}

// until waits for what another goroutine does.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within a minute")
		}
	}
}
