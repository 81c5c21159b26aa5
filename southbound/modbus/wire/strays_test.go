package wire_test

import (
	"bytes"
	"testing"

	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/wire"
)

// TestPilot10Strays: frames of other transactions and units before each answer are
// counted, cost nothing else, and do not end the connection.
func TestPilot10Strays(t *testing.T) {
	for name, stray := range map[string]modbustest.Behaviour{"transaction": modbustest.StrayBefore(1000, 0),
		"unit": modbustest.StrayBefore(0, 1)} {
		for kind, made := range map[string]func(wire.Options) wire.Carrier{
			"link":   func(o wire.Options) wire.Carrier { return wire.NewTCP(o) },
			"shared": func(o wire.Options) wire.Carrier { return wire.NewShared(o) }} {
			bubble(t, kind+" "+name, modbustest.TCP,
				func(t *testing.T, sim *modbustest.Simulator, unit *modbustest.Unit, o wire.Options) {
					link := made(o)
					defer link.Close()
					client := wire.NewClient(link)
					client.To(t.Context(), 1, timeout)
					unit.Always(stray)
					for i := range uint16(50) {
						if data, err := client.Read(wire.Holding, i, 2); outcome(data, err, i) != "right" {
							t.Fatalf("%d: %x, %v", i, data, err)
						}
					}
					if n := link.Strays(); n != 50 || sim.Accepted() != 1 {
						t.Errorf("%d strays on %d connections, want 50 on 1", n, sim.Accepted())
					}
				})
		}
	}
}

// TestF06F26EveryException: each code from 0 to 255 is an exception with its own
// number, to reads and writes, and the connection stays.
func TestF06F26EveryException(t *testing.T) {
	for _, framing := range []modbustest.Framing{modbustest.TCP, modbustest.RTU} {
		name := map[modbustest.Framing]string{modbustest.TCP: "tcp", modbustest.RTU: "rtu"}[framing]
		bubble(t, name, framing, func(t *testing.T, sim *modbustest.Simulator, unit *modbustest.Unit, o wire.Options) {
			link := wire.NewTCP(o)
			if framing == modbustest.RTU {
				link = wire.NewRTU(o)
			}
			defer link.Close()
			client := wire.NewClient(link)
			client.To(t.Context(), 1, timeout)
			for code := range 256 {
				unit.Always(modbustest.Exception(byte(code)))
				_, err := client.Read(wire.Holding, 1, 2)
				if got, ok := wire.ExceptionCode(err); !ok || int(got) != code {
					t.Errorf("read, code %d: %v", code, err)
				}
				_, err = client.WriteSingleRegister(1, 2)
				if got, ok := wire.ExceptionCode(err); !ok || int(got) != code {
					t.Errorf("write, code %d: %v", code, err)
				}
				raw, err := client.Raw([]byte{3, 0, 1, 0, 1})
				if err != nil || !bytes.Equal(raw, []byte{0x83, byte(code)}) {
					t.Errorf("raw, code %d: % x, %v", code, raw, err)
				}
			}
			if n := sim.Accepted(); n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
		})
	}
}
