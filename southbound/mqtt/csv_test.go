package mqtt

import (
	"testing"
	"time"

	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/payload"
)

// The lines of a payload are batches, acknowledged when all are safe.
func TestCSVBatches(t *testing.T) {
	r := newRecorder()
	r.hold = true
	s := start(t, embeddedConfig(sensor("logger", Sensor{Topic: "csv/{device}", Format: "csv",
		Time: &payload.Time{Column: 1, Format: "unix"}, Points: payload.Points{"a": {Column: 2}}})), Options{}, r.emit)
	c := rig.Dial(t, address(t, s), 4, "c")
	c.Publish(2, 1, "csv/d", "1763887500,1\n1763887560,2\n")
	batches := r.wait(t, 2)
	rig.Same(t, "readings", values(batches), []string{"d.a=1", "d.a=2"})
	if d := batches[1].At.Sub(batches[0].At); d != time.Minute {
		t.Errorf("the lines are %v apart", d)
	}
	safe := r.take()
	safe[1](nil)
	c.Silent()
	safe[0](nil)
	c.Expect(0x40, 1)
}
