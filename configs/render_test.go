package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/southbound/modbus/setup"
)

// snapshot returns what is written of l.
func snapshot(t *testing.T, l *Loaded) string {
	t.Helper()
	var b strings.Builder
	if err := l.WriteSnapshot(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A snapshot means the same wherever it is read.
func TestSnapshot(t *testing.T) {
	dir := write(t, map[string]string{
		"a/g.yaml": "include: ../b/more.yaml\nvars: {net: '10.0.0'}\n" + north + `
labels: {odd: "$${x} # 'y' \"z\"", multi: "a\n b", num: 007, word: 'null', tilde: "~"}
southbound:
  modbus:
    buses: {"b-{1..2}": {url: "tcp://${net}.${file:host}:502"}}
    devices: {d: {bus: b-1, profile: eastron-sdm630, only: [frequency], max_gap: 0,
                  points: {x: {holding: 0x10, invalid: [0x8000, -1]}}}}
  mqtt: {brokers: {l: {listen: "127.0.0.1:1883"}}, sensors: {z: {broker: l, topic: "z/{device}", point: p},
                                                             a: {broker: l, topic: "a/#", device: d2, point: p}}}
`,
		"a/host":      "7\n",
		"b/more.yaml": "store: {dir: queue}\n",
	})
	file := filepath.Join(dir, "a/g.yaml")
	l := load(t, file)
	text := snapshot(t, l)
	other := filepath.Join(t.TempDir(), "copy.yaml")
	if err := os.WriteFile(other, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	again := load(t, other)
	if diff := cmp.Diff(l.Config, again.Config, cmp.AllowUnexported(setup.Raw{})); diff != "" {
		t.Errorf("(-file +snapshot):\n%s\n%s", diff, text)
	}
	if snapshot(t, again) != text {
		t.Errorf("a snapshot of the snapshot differs:\n%s", cmp.Diff(text, snapshot(t, again)))
	}
	if url := again.Config.Southbound.Modbus.Buses["b-2"].URL; url != "tcp://10.0.0.7:502" {
		t.Error(url)
	}
}
