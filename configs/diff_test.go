package configs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	t.Setenv("FB_TEST_SECRET", "hunter2")
	t.Setenv("FB_TEST_OTHER", "hunter3")
	side := func(text string) *Loaded {
		l, err := Parse("g.yaml", []byte(north+text))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	const base = `
labels: {site: brno}
southbound:
  modbus:
    buses: {plc: {url: "tcp://10.0.0.1"}, old: {url: "tcp://10.0.0.2"}}
    devices:
      boiler: {bus: plc, points: {a: {holding: 1}, b: {holding: 2, scale: 0.1}}}
      gone: {bus: old, points: {a: {coil: 1}}}
  mqtt:
    brokers: {l: {listen: "127.0.0.1:1883"}}
    sensors: {x: {broker: l, topic: "x/{device}", point: p}, y: {broker: l, topic: "y/{device}", point: p}}
`
	changed := strings.NewReplacer(
		"site: brno", "site: \"${env:FB_TEST_SECRET}\", area: \"${env:FB_TEST_OTHER}\"",
		"bus: plc, points", "bus: plc, every: 100ms, timeout: 2s, points",
		"scale: 0.1", "scale: 0.01", "a: {holding: 1}, ", "", "gone:", "fresh:",
		"x: {broker: l, topic: \"x/{device}\", point: p}, y: {broker: l, topic: \"y/{device}\", point: p}",
		"y: {broker: l, topic: \"y/{device}\", point: q}, x: {broker: l, topic: \"x/{device}\", point: p}",
	).Replace(base) + "log: {level: debug}\n"
	got := Diff(side(base), side(changed))
	want := []string{
		"labels.area new",
		"labels.site brno -> ${env:FB_TEST_SECRET}",
		"log.level info -> debug",
		"boiler: every 1s -> 100ms",
		"boiler: timeout default -> 2s",
		"boiler: point a removed",
		"boiler: point b scale 0.1 -> 0.01",
		"fresh: new, 1 point every 1s",
		"gone: removed",
		"sensor y: point p -> q",
		"southbound.mqtt.sensors tried in another order: y, x",
		"plc load 1 % -> 5 %",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if all := strings.Join(got, "\n"); strings.Contains(all, "hunter") {
		t.Errorf("a secret is shown:\n%s", all)
	}
	if same := Diff(side(base), side("# comment"+base)); len(same) != 0 {
		t.Errorf("the same: %v", same)
	}
}
