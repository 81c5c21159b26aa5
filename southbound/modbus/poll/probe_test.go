package poll

import (
	"testing"
	"time"

	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

// TestPatience: a silent unit is waited for as long as its own answers tell, or
// those of others if it never gave one, and in turn for its whole timeout.
func TestPatience(t *testing.T) {
	d := &Device{Spec: spec.Device{Unit: wire.Unit{Timeout: time.Second}}}
	other := &Device{}
	b := &Bus{devices: []*Device{d, other}}
	for _, test := range []struct{ own, others, want time.Duration }{
		{0, 0, 250 * time.Millisecond},
		{0, time.Millisecond, strangerPatience},
		{0, 100 * time.Millisecond, 400 * time.Millisecond},
		{time.Millisecond, time.Hour, leastPatience},
		{100 * time.Millisecond, 0, 400 * time.Millisecond},
		{900 * time.Millisecond, 0, time.Second},
	} {
		d.slowest, other.slowest = test.own, test.others
		if got := b.patience(d); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
		if d.probes = 2; b.probeTimeout(d) != time.Second {
			t.Errorf("%+v: the third probe waits %v", test, b.probeTimeout(d))
		}
		if d.probes = 4; b.probeTimeout(d) != test.want {
			t.Errorf("%+v: the fifth probe waits %v", test, b.probeTimeout(d))
		}
	}
}
