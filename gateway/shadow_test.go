package gateway

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot/remote"
	"fieldbridge/store/figures"
)

func TestShadowReport(t *testing.T) {
	start := time.UnixMilli(1763887500000)
	count := func(n uint64) bridge.Count { return bridge.Count{Readings: n} }
	got := shadowReport(control.Status{
		Started: start, Now: start.Add(2*time.Hour + time.Minute),
		Queue: figures.Status{Bytes: 7, Oldest: start, FullIn: 90 * time.Minute,
			Ledger: bridge.Ledger{Waiting: count(4), Dropped: count(3), Dead: count(2), Damaged: count(1)}},
		Buses:      []bridge.BusStatus{{Bus: "a", Load: 0.11}, {Bus: "b", Down: start}},
		Devices:    []bridge.DeviceStatus{{Device: "boiler", Good: 3}, {Device: "press", Bad: 1, Reason: "timeout"}},
		Commands:   remote.CommandStatus{Off: true},
		Intervals:  []bridge.IntervalStatus{{Device: "boiler", Every: time.Second, Until: start.Add(time.Minute)}},
		Conditions: []condition.Condition{condition.QueueRefusesNew.At("queue", start, "the queue is full and", "make room")},
	})
	want := map[string]any{
		"started":  start.UnixMilli(),
		"uptime_h": 2,
		"queue": map[string]any{"waiting": uint64(4), "dropped": uint64(3), "dead": uint64(2), "damaged": uint64(1),
			"bytes":  int64(7),
			"oldest": start.UnixMilli(), "full_in_h": 1},
		"buses": map[string]any{"a": map[string]any{"load_pct": 20},
			"b": map[string]any{"down_since": start.UnixMilli()}},
		"devices":   map[string]any{"boiler": "good", "press": "timeout"},
		"commands":  "off",
		"intervals": map[string]any{"boiler": map[string]any{"every_ms": int64(1000), "until": start.UnixMilli() + 60_000}},
		"problems":  []any{"queue: the queue is full and takes no new readings: make room"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// What is well says nothing of what could be wrong.
	got = shadowReport(control.Status{Started: start, Now: start, Queue: figures.Status{Oldest: start, FullIn: time.Hour}})
	for _, key := range []string{"commands", "intervals"} {
		if _, there := got[key]; there {
			t.Errorf("%s: %v", key, got[key])
		}
	}
	if queue := got["queue"].(map[string]any); len(queue) != 5 {
		t.Errorf("an empty queue: %v", queue)
	}
}
