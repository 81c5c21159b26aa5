package control

import (
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
)

func TestSentence(t *testing.T) {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	good, bad := bridge.DeviceStatus{Device: "a", Good: 3}, bridge.DeviceStatus{Device: "b", Bad: 3}
	down := condition.DeviceDown.At("device b", at, "it does not answer")
	full := condition.QueueDropsOldest.At("queue", at.Add(time.Hour), "the queue is full and", "give it more")
	long := condition.DeviceDown.At("device c", at, strings.Repeat("ü ", 400))
	for name, tt := range map[string]struct {
		s    Status
		want string
	}{
		"all is well": {Status{Devices: []bridge.DeviceStatus{good, good}, Link: bridge.LinkStatus{Connected: true}},
			"all of 2 devices have good readings, connected to the cloud; all is well"},
		"nothing yet": {Status{}, "no devices yet, not connected to the cloud, 0 readings wait; all is well"},
		"the worst is told, of those the first": {Status{Devices: []bridge.DeviceStatus{good, bad},
			Conditions: []condition.Condition{down, full}},
			"1 of 2 devices have good readings, not connected to the cloud, 0 readings wait; alarm: " + full.String() +
				" (and 1 more)"},
		"one alone": {Status{Conditions: []condition.Condition{down}},
			"no devices yet, not connected to the cloud, 0 readings wait; warning: " + down.String()},
	} {
		if got := tt.s.Sentence(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	s := Status{Conditions: []condition.Condition{long, long}}
	if got := []rune(s.Sentence()); len(got) > mostSentence+60 || !strings.Contains(string(got), "…") {
		t.Errorf("%d characters: %s", len(got), string(got))
	}
}
