package modbus

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/commission"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

// fieldOf resolves a point that is in no device.
func fieldOf(t *testing.T, p setup.Point) *point.Field {
	t.Helper()
	f, err := p.Field()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestRelay: a second program asks over the line that the gateway holds.
func TestRelay(t *testing.T) {
	sim := modbustest.New()
	firstRunUnit(sim.Unit(1))
	sim.Unit(2).Set(modbustest.Holding, 7, 99)
	source, err := New(firstRun("tcp://"+sim.Start(t)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		source.Run(ctx, func(bridge.Batch, func(error)) {})
	}()
	defer func() { cancel(); <-done }()
	eventually(t, "good readings", func() bool { return source.Devices()[0].Good == 6 })
	m := commission.Open(wire.Place{}, 5*time.Second,
		commission.Options{Relay: func(ctx context.Context, unit byte, pdu []byte) ([]byte, error) {
			return source.Relay(ctx, "plc", unit, pdu)
		}})
	defer m.Close()
	f := fieldOf(t, setup.Point{Holding: at(7)})
	got, err := m.Read(t.Context(), 2, f, 1)
	if err != nil || got[0].Value != bridge.Uint(99) {
		t.Errorf("%v, %v", got, err)
	}
	sim.Unit(2).Always(modbustest.Exception(2))
	if _, err := m.Read(t.Context(), 2, f, 1); err == nil ||
		!strings.Contains(err.Error(), "illegal data address") {
		t.Errorf("an exception over the relay: %v", err)
	}
	if n := sim.Accepted(); n != 1 {
		t.Errorf("%d connections, want that of the gateway alone", n)
	}
	if _, err := source.Relay(t.Context(), "pcl", 1, []byte{3, 0, 0, 0, 1}); err == nil {
		t.Error("a bus that there is not")
	}
}

// TestRelayEndsQuietly: whoever asked may end the context with the answer, as a server
// of HTTP does. The connection is not that one's, and stays.
func TestRelayEndsQuietly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := modbustest.New()
		sim.Unit(1).Set(modbustest.Holding, 7, 99)
		cfg := setup.Config{Buses: map[string]setup.Bus{"plc": testBus("plc")}, Devices: map[string]setup.Device{
			"boiler": testDevice("plc", 1, map[string]setup.Point{"a": {Holding: at(7)}})}}
		dials := 0
		r := newRigDial(t, cfg, nil, func(ctx context.Context, _ spec.Bus) (wire.Stream, error) {
			dials++
			return sim.Dial(ctx)
		})
		defer r.stop()
		synctest.Wait() // until it runs
		for range 300 {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := r.source.Relay(ctx, "plc", 1, []byte{3, 0, 7, 0, 1})
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if dials != 1 {
			t.Errorf("%d connections, want one", dials)
		}
	})
}
