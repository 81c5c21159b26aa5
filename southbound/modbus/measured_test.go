package modbus

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

// TestPilot6: what check says of a line is what the gateway measured on it.
func TestPilot6(t *testing.T) {
	for _, framing := range []modbustest.Framing{modbustest.RTU, modbustest.ASCII} {
		for _, thinks := range []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 150 * time.Millisecond} {
			synctest.Test(t, func(t *testing.T) {
				cfg := serialLine(9600, 20, 5*time.Second, map[string]setup.Point{"a": {Holding: at(0)}, "b": {Holding: at(9)}})
				b := cfg.Buses["hall-a"]
				b.Timeout = setting.Duration(time.Second)
				if framing == modbustest.ASCII {
					b.URL = "ascii:///dev/ttyUSB0"
				}
				cfg.Buses["hall-a"] = b
				sim := modbustest.New()
				sim.Framing, sim.Latency = framing, thinks
				for i := range 20 {
					sim.Unit(byte(i + 1))
				}
				state := &memory{}
				r := newRigDial(t, cfg, state, func(ctx context.Context, spec spec.Bus) (wire.Stream, error) {
					conn, err := sim.Dial(ctx)
					return &slowLine{Conn: conn, char: spec.Serial.Char()}, err
				})
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				bus := r.source.running()[0]
				before := bus.Status().Busy
				time.Sleep(time.Minute)
				synctest.Wait()
				measured := float64(bus.Status().Busy-before) / float64(time.Minute)
				r.stop()
				plan := PlanLearnt(cfg, state)[0]
				if plan.Measured != 20 || math.Abs(plan.Load-measured) > measured/10 {
					t.Errorf("framing %d, %v: planned %.2f with %d measured, measured %.2f; assumed %.2f", framing, thinks,
						plan.Load, plan.Measured, measured, Plan(cfg)[0].Load)
				}
			})
		}
	}
}
