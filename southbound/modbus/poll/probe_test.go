package poll

import (
	"testing"
	"time"

	"fieldbridge/southbound/modbus/wire"
)

// TestPatience: a probe waits as long as the unit's own answers tell.
func TestPatience(t *testing.T) {
	d := &Device{Spec: DeviceSpec{Unit: wire.Unit{Timeout: time.Second}}}
	for slowest, want := range map[time.Duration]time.Duration{0: time.Second, time.Millisecond: minPatience,
		100 * time.Millisecond: 400 * time.Millisecond, 900 * time.Millisecond: time.Second} {
		if d.slowest = slowest; d.patience() != want {
			t.Errorf("slowest answer %v: %v, want %v", slowest, d.patience(), want)
		}
	}
}
