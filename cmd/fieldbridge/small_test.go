//go:build small

package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fieldbridge/configs"
	"fieldbridge/console"
)

// What the small build leaves out says so, and where it is; the rest is there.
func TestSmall(t *testing.T) {
	for _, args := range [][]string{{"demo"}, {"demo", "--for", "1s"}, {"init", "-h"}, {"fleet", "check", "x.yaml"},
		{"ledger", "x"}, {"profiles"}, {"cloud", "send", "a", "b.c=1"}} {
		code, stdout, stderr := call(t, args...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, "this is the small build, which leaves out "+
			"'fieldbridge "+args[0]+"': run it with the whole fieldbridge, on a laptop or on this machine") {
			t.Errorf("%v: exit %d\nstdout %s\nstderr %s", args, code, stdout, stderr)
		}
	}
	code, stdout, _ := call(t, "help", "run")
	if code != exitDone || !strings.HasPrefix(stdout, "Usage: fieldbridge run") {
		t.Errorf("run: exit %d, %s", code, stdout)
	}
	if code, stdout, stderr := call(t, "version"); code != exitDone || !strings.Contains(stdout, " small ") {
		t.Errorf("version: exit %d, %s%s", code, stdout, stderr)
	}
}

// A configuration that needs what is left out is refused with the reason.
func TestSmallSparkplug(t *testing.T) {
	_, err := configs.Parse("f.yaml", []byte(`
gateway: g
northbound: {awsiot: {endpoint: x, certificate: a, private_key: b, topic: t}}
store: {dir: q}
southbound:
  mqtt:
    brokers: {local: {listen: "127.0.0.1:1883"}}
    sensors: {s: {broker: local, topic: "spBv1.0/#", format: sparkplug-b}}
`))
	if err == nil || !strings.Contains(err.Error(), "the small build, which leaves out Sparkplug") {
		t.Errorf("%v", err)
	}
}

// The console says where to look in place of the page.
func TestSmallConsole(t *testing.T) {
	for path, want := range map[string]int{"/": http.StatusNotFound, "/device/boiler": http.StatusNotFound,
		"/healthz": http.StatusOK} {
		w := httptest.NewRecorder()
		new(console.View).Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want || want != http.StatusOK && !strings.Contains(w.Body.String(), "'fieldbridge status'") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
