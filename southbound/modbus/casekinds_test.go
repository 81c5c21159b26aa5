package modbus

import (
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/permit"
	"fieldbridge/southbound/modbus/setup"
)

// TestTogetherIsNotReadOver: what a device answers only as a whole is in no request
// for what lies around it, and is not given up for one that got no answer.
func TestTogetherIsNotReadOver(t *testing.T) {
	whole := func(r modbustest.Request, a *modbustest.Answer) {
		if r.Function == 3 && r.Address < 32 && r.Address+r.Count > 28 && (r.Address != 28 || r.Count != 4) {
			modbustest.Silence(r, a)
		}
	}
	points := map[string]setup.Point{"before": {Holding: at(25)}, "after": {Holding: at(40)},
		"quad": {Holding: at(30), Writable: &permit.Writable{}, Together: "28-31"}, "inside": {Holding: at(29)}}
	field(t, points, func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
		u.Set(modbustest.Holding, 25, 1, 0, 0, 0, 2, 3)
		u.Set(modbustest.Holding, 40, 4)
		u.Always(whole)
		time.Sleep(20 * time.Second)
		wantWritten(t, r.set(t, "quad", bridge.Int(7)), bridge.Done, false, "")
		time.Sleep(2 * time.Second)
		for _, b := range r.of("d") {
			if goodIn(b) != len(points) {
				t.Errorf("%s", values(b))
			}
		}
	})
}

// TestDeafWhileItStores: a device that answers nothing for some seconds after a
// write, as it stores the value, is looked at once more when the time is over; one
// that was away before is not waited for.
func TestDeafWhileItStores(t *testing.T) {
	points := map[string]setup.Point{"w": {Holding: at(10), Writable: &permit.Writable{}}, "x": {Holding: at(50)}}
	for _, test := range []struct {
		name    string
		takes   bool
		deaf    time.Duration
		outcome bridge.WriteOutcome
		text    string
	}{
		{"takes it", true, 3500 * time.Millisecond, bridge.Done, "no answer in time"},
		{"forgets it", false, 3500 * time.Millisecond, bridge.Failed,
			"no answer in time, but the device has another value: 0"},
		{"stays away", true, time.Hour, bridge.Failed, "no answer in time, and not read back"},
	} {
		t.Run(test.name, func(t *testing.T) {
			field(t, points, func(t *testing.T, r *rig, u *modbustest.Unit, _ *modbustest.Simulator) {
				time.Sleep(1500 * time.Millisecond)
				var until time.Time
				u.Always(func(q modbustest.Request, a *modbustest.Answer) {
					if q.Function == 6 {
						until = time.Now().Add(test.deaf)
						if !test.takes {
							u.Set(modbustest.Holding, 10, 0)
						}
					}
					if time.Now().Before(until) {
						modbustest.Silence(q, a)
					}
				})
				wantWritten(t, r.set(t, "w", bridge.Int(7)), test.outcome, false, test.text)
				if n := touches(u, 10, 6); n != 1 {
					t.Errorf("written %d times", n)
				}
				if test.deaf < time.Hour {
					return
				}
				began := time.Now()
				wantWritten(t, r.set(t, "w", bridge.Int(8)), test.outcome, false, test.text)
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("of a device that was away it is told after %v", took)
				}
			})
		})
	}
}
