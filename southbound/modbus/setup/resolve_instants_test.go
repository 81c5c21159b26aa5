package setup

import (
	"fmt"
	"testing"
)

// TestInstants: small gateways poll at few instants, large ones at more, and devices on
// one line keep apart.
func TestInstants(t *testing.T) {
	points := func(n, apart int) map[string]Point {
		all := make(map[string]Point)
		for i := range n {
			all[fmt.Sprintf("r%d", i)] = Point{Holding: at(i * apart), Type: "uint16"}
		}
		return all
	}
	for _, c := range []struct {
		what                          string
		devices, points, apart, lines int
		want                          int
	}{
		{"10 of 20 registers", 10, 20, 1, 10, 2},
		{"10 of 1,000 registers", 10, 1000, 1, 10, 2},
		{"11 of 1,000 registers", 11, 1000, 1, 11, 4},
		{"25 of 1,000 registers", 25, 1000, 1, 25, 4},
		{"26 of 1,000 registers", 26, 1000, 1, 26, 0},
		{"30 of 10 registers far apart", 30, 10, 200, 30, 0},
		{"200 of one register", 200, 1, 1, 200, 4},
		{"201 of one register", 201, 1, 1, 201, 0},
		{"two on each connection", 10, 20, 1, 5, 0},
	} {
		cfg := Config{Buses: map[string]Bus{}, Devices: map[string]Device{}}
		all := points(c.points, c.apart)
		for i := range c.devices {
			bus := fmt.Sprintf("plc%d", i%c.lines)
			cfg.Buses[bus] = testBus(bus)
			cfg.Devices[fmt.Sprintf("d%d", i)] = testDevice(bus, 1+i/c.lines, all)
		}
		for name, d := range Resolve(cfg).Devices {
			if d.Instants.Shared != c.want {
				t.Errorf("%s: %s is polled at %+v, want %d shared instants", c.what, name, d.Instants, c.want)
				break
			}
		}
	}
	serial := testBus("x")
	serial.URL = "rtu:///dev/ttyUSB0"
	r := Resolve(Config{Buses: map[string]Bus{"line": serial},
		Devices: map[string]Device{"d": testDevice("line", 1, points(20, 1))}})
	if r.Devices["d"].Instants.Shared > 0 {
		t.Error("a device on a line shares instants")
	}
}
