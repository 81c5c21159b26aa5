package gateway

import (
	"bytes"
	"strings"
	"testing"

	"fieldbridge/blackbox"
	"fieldbridge/gateway/control"
)

// What passes on a bus and on the uplink is recorded, without what messages hold.
func TestFlightIsRecorded(t *testing.T) {
	t.Parallel()
	r := newStopRig(t)
	g := r.start(t, r.cloud.Addr(), r.device)
	wait(t, "a message is acknowledged", func() bool { return g.Status().Queue.Ledger.Acked.Batches > 0 })
	text, err := control.Get(t.Context(), g.dir, "/frames")
	if err != nil {
		t.Fatal(err)
	}
	all, err := blackbox.Read(bytes.NewReader(text))
	if err != nil || len(all) != 2 || all[0].Tape != "bus b" || all[1].Tape != "uplink" {
		t.Fatalf("%v, %s", err, text)
	}
	for _, want := range []string{"unit 1, read holding registers 0, 1", "read holding registers: 2 bytes of data",
		"CONNECT as g", "CONNACK 0x00", "PUBLISH t, QoS 1", "PUBACK id"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q", want)
		}
	}
	for _, recording := range all {
		for _, f := range recording.Frames {
			if bytes.Contains(f.Data, []byte("batches")) || bytes.Contains(f.Data, []byte(`"run"`)) {
				t.Errorf("%s has a payload: %q", recording.Tape, f.Data)
			}
		}
	}
	log, err := control.Get(t.Context(), g.dir, "/log")
	if err != nil || !strings.Contains(string(log), "connected to the cloud") {
		t.Errorf("%v, %s", err, log)
	}
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}
