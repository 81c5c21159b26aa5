package wire_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/wire"
)

// TestBroadcast: what is written to unit 0 of a line reaches all, nobody answers,
// and nothing is sent before they had the time to take it in.
func TestBroadcast(t *testing.T) {
	for name, f := range map[string]struct {
		framing modbustest.Framing
		link    func(wire.Options) *wire.Link
	}{"rtu": {modbustest.RTU, wire.NewRTU}, "ascii": {modbustest.ASCII, wire.NewASCII}} {
		bubble(t, name, f.framing, func(t *testing.T, sim *modbustest.Simulator, one *modbustest.Unit, o wire.Options) {
			two := sim.Unit(2)
			client := wire.NewClient(f.link(o))
			client.To(t.Context(), 0, time.Second)
			begin := time.Now()
			for what, write := range map[string]func() ([]byte, error){
				"5":  func() ([]byte, error) { return client.WriteSingleCoil(7, 0xff00) },
				"6":  func() ([]byte, error) { return client.WriteSingleRegister(9, 1234) },
				"15": func() ([]byte, error) { return client.WriteMultipleCoils(20, 3, []byte{5}) },
				"16": func() ([]byte, error) { return client.WriteMultipleRegisters(30, 2, []byte{1, 2, 3, 4}) },
				"22": func() ([]byte, error) { return client.MaskWriteRegister(40, 0, 77) },
			} {
				before := time.Now()
				if _, err := write(); err != nil {
					t.Errorf("function %s: %v", what, err)
				}
				if took := time.Since(before); took != 100*time.Millisecond {
					t.Errorf("function %s took %v, want the turnaround of 100ms", what, took)
				}
			}
			synctest.Wait()
			for _, u := range []*modbustest.Unit{one, two} {
				if u.Get(modbustest.Coil, 7, 1)[0] != 1 || u.Get(modbustest.Holding, 9, 1)[0] != 1234 ||
					u.Get(modbustest.Coil, 22, 1)[0] != 1 || u.Get(modbustest.Holding, 31, 1)[0] != 0x0304 ||
					u.Get(modbustest.Holding, 40, 1)[0] != 77 {
					t.Errorf("a unit did not take it: %+v", u.Requests())
				}
			}
			if _, err := client.Read(wire.Holding, 0, 1); !errors.Is(err, wire.ErrAllUnits) || time.Since(begin) > time.Second {
				t.Errorf("a read of all units: %v", err)
			}
			client.To(t.Context(), 2, time.Second)
			if got, err := client.Read(wire.Holding, 9, 1); err != nil || !bytes.Equal(got, []byte{4, 210}) {
				t.Errorf("afterwards: % x, %v", got, err)
			}
			if n := sim.Accepted(); n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			client.To(ctx, 0, time.Second)
			if _, err := client.WriteSingleRegister(9, 1); err == nil {
				t.Error("a broadcast that was cut short is told as sent")
			}
		})
	}
}
