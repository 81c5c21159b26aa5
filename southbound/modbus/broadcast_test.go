package modbus

import (
	"encoding/hex"
	"fieldbridge/southbound/modbus/permit"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/commission"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/wire"
)

// TestF24 is a write to all units of a serial line: it is sent, nothing is waited
// for but the turnaround, and it is done.
func TestF24(t *testing.T) {
	t.Parallel()
	ours, theirs := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	serialPair(t, ours, theirs)
	line, err := os.OpenFile(theirs, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = line.Close() }()
	m := commission.Open(wire.Place{Address: wire.Address{Scheme: "rtu", Host: ours}, ConnectTimeout: time.Second,
		Serial: wire.Serial{Device: ours, Baud: 19200, DataBits: 8, Parity: wire.NoParity, StopBits: 1}},
		10*time.Second, commission.Options{})
	defer m.Close()
	p := setup.Point{Holding: at(5), Writable: &permit.Writable{}}
	begin := time.Now()
	is, _ := m.Write(t.Context(), 0, fieldOf(t, p), bridge.Int(9), "auto")
	if took := time.Since(begin); took < 100*time.Millisecond || took > 5*time.Second {
		t.Errorf("it took %v, want the turnaround of 100ms", took)
	}
	if is.Outcome != bridge.Unconfirmed || !is.Enough ||
		is.Text != "written, to all units of the line, of which none answers" {
		t.Errorf("%+v", is)
	}
	frame := make([]byte, 8)
	if _, err := io.ReadFull(line, frame); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(frame[:6]); got != "000600050009" {
		t.Errorf("on the line: %s", got)
	}
}

// TestAllUnitsOfALine: a device that is unit 0 is written to and never asked.
func TestAllUnitsOfALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := testBus("plc")
		bus.URL = "rtu+tcp://plc:502"
		one := testDevice("plc", 1, map[string]setup.Point{"x": {Holding: at(5)}})
		all := testDevice("plc", 0, map[string]setup.Point{"x": {Holding: at(5), Access: "write"},
			"clock": {Holding: at(9), Type: "uint32", Access: "write"},
			"alive": {Holding: at(7), Access: "write", Keep: &setup.Keep{Value: val(bridge.Int(1)), Every: seconds(5)}}})
		sim := modbustest.New()
		sim.Framing = modbustest.RTU
		units := []*modbustest.Unit{sim.Unit(1), sim.Unit(2)}
		r := newRig(t, setup.Config{Buses: map[string]setup.Bus{"plc": bus},
			Devices: map[string]setup.Device{"one": one, "all": all}},
			map[string]*modbustest.Simulator{"plc": sim})
		defer r.stop()
		time.Sleep(21 * time.Second)
		is := r.source.Write(t.Context(), bridge.Command{Device: "all", Point: "x", Value: bridge.Int(77)})
		if is.Outcome != bridge.Unconfirmed || !is.Enough {
			t.Errorf("%+v", is)
		}
		is = r.source.Write(t.Context(), bridge.Command{Device: "all", Set: list("x=78 clock=65537")})
		if is.Outcome != bridge.Unconfirmed || !is.Enough {
			t.Errorf("%+v", is)
		}
		if is := r.source.Write(t.Context(), bridge.Command{Device: "all", Point: "alive",
			Value: bridge.Int(0)}); is.Outcome != bridge.Refused {
			t.Errorf("a command to what is kept: %+v", is)
		}
		for i, u := range units {
			if got := u.Get(modbustest.Holding, 5, 6); !slices.Equal(got, []uint16{78, 0, 1, 0, 1, 1}) {
				t.Errorf("unit %d has %v", i+1, got)
			}
			n := 0
			for _, q := range u.Requests() {
				if q.Unit == 0 && q.Function < 5 {
					t.Errorf("all units were asked: %+v", q)
				}
				if q.Unit == 0 && q.Address == 7 {
					n++
				}
			}
			if n != 5 {
				t.Errorf("kept %d times in 21s, want 5", n)
			}
		}
		if h := r.source.Health(); len(h) > 0 {
			t.Errorf("health: %v", h)
		}
	})
}
