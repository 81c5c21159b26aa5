package tell

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/gateway/control"
	"fieldbridge/store/figures"
)

func TestPrintStatus(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := control.Status{
		Gateway: "press-line-2", Run: "3k7q9x2m", Version: "v1", Config: "0123456789abcdef", Started: now.Add(-3 * time.Hour),
		Now: now,
		Link: bridge.LinkStatus{Endpoint: "cloud:8883", Since: now.Add(-90 * time.Second),
			Detail: "connection refused: is the port right?", Retry: now.Add(12 * time.Second)},
		Queue: figures.Status{Bytes: 1536, Oldest: now.Add(-time.Minute), Backlog: bridge.Count{Readings: 1200},
			PowerCut: 3 * time.Second,
			Ledger: bridge.Ledger{Accepted: bridge.Count{Readings: 5000}, Acked: bridge.Count{Readings: 3000},
				Waiting: bridge.Count{Readings: 2000}}},
		Devices: []bridge.DeviceStatus{
			{Device: "boiler", Via: "modbus plc unit 1", Good: 6, Last: now.Add(-time.Second)},
			{Device: "press", Via: "modbus plc unit 2", Bad: 3, Reason: "timeout", Detail: "no answer within 1s"},
		},
		Buses: []bridge.BusStatus{{Bus: "plc", Address: "tcp://plc:502", Requests: 7}},
		Conditions: []condition.Condition{{Severity: condition.Warning, Subject: "uplink",
			Text: "not connected: readings wait in the queue", Since: now.Add(-90 * time.Second)}},
	}
	want := `press-line-2  up 3 h 0 min  run 3k7q9x2m  version v1  configuration 0123456789ab

1 of 2 devices have good readings, not connected to the cloud, 2000 readings wait; ` +
		`warning: uplink: not connected: readings wait in the queue

uplink   not connected to cloud:8883 since 1 min 30 s
         connection refused: is the port right?
         next try in 12 s
queue    2,000 readings wait (1,200 of them backlog), 1.5 KiB on disk, the oldest 1 min 0 s old
         a power cut now takes at most 3s of polled readings
         since the start: 5,000 accepted, 0 found, 3,000 acknowledged, 0 dropped, 0 damaged; 0 dead letters

buses
  plc  tcp://plc:502  load 0 %  7 requests  0 late cycles

devices
  boiler  modbus plc unit 1  6 good                  1 s ago
  press   modbus plc unit 2  0 good, 3 bad: timeout  not since the start  no answer within 1s

warning  uplink: not connected: readings wait in the queue (for 1 min 30 s)
`
	var got bytes.Buffer
	Status(&got, s)
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

// What a power cut takes has a bound only where the queue can be written and has a disk.
func TestPowerCut(t *testing.T) {
	for want, conditions := range map[string][]condition.Condition{
		"at most 3s of polled readings":                      nil,
		"all readings since the queue could be written last": {condition.QueueUnwritable.At("queue", time.Time{}, "mend it")},
		"hangs on where the queue lies": {condition.QueueMisplaced.At("queue", time.Time{}, "in memory",
			"move it")},
	} {
		var out bytes.Buffer
		Status(&out, control.Status{Conditions: conditions, Queue: figures.Status{PowerCut: 3 * time.Second}})
		if !bytes.Contains(out.Bytes(), []byte(want)) {
			t.Errorf("no %q in %s", want, out.String())
		}
	}
}
