package modbus

import (
	"context"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/commission"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/setup"
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
