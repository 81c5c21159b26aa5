package poll

import (
	"testing"
	"time"

	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

// TestPhasesOfIntervals: devices of several intervals wake the gateway no more often
// than those of the shortest would.
func TestPhasesOfIntervals(t *testing.T) {
	at := map[time.Duration]bool{}
	for i := range 100 {
		d := Device{Spec: spec.Device{Unit: wire.Unit{Name: string(rune('a' + i))},
			Instants: spec.Instants{Shared: 4, Every: time.Second / 2}}}
		every := []time.Duration{time.Second / 2, time.Second, 2 * time.Second}[i%3]
		g := d.grid(every, every)
		if g.Phase >= every {
			t.Fatalf("phase %v at %v", g.Phase, every)
		}
		at[g.Phase%(time.Second/2)] = true
	}
	if len(at) != 4 {
		t.Errorf("they wake the gateway at %d places of half a second, want 4: %v", len(at), at)
	}
	odd := Device{Spec: spec.Device{Instants: spec.Instants{Shared: 4, Every: 300 * time.Millisecond}}}
	if g := odd.grid(time.Second, time.Second); g.Phase%(100*time.Millisecond) != 0 || g.Phase >= time.Second {
		t.Errorf("an interval that is no multiple has phase %v", g.Phase)
	}
}
