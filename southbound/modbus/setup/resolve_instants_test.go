package setup

import (
	"fmt"
	"testing"
)

// TestInstants: small gateways poll all at one instant, large ones spread it, and
// devices on one line keep apart.
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
		{"10 of 20 registers", 10, 20, 1, 10, 1},
		{"48 of one request", 48, 125, 1, 48, 1},
		{"49 of one request", 49, 125, 1, 49, 2},
		{"48 of two requests", 48, 126, 1, 48, 2},
		{"10 of 1,000 registers", 10, 1000, 1, 10, 2},
		{"30 of 10 registers far apart", 30, 10, 200, 30, 10},
		{"200 of one register", 200, 1, 1, 200, 5},
		{"400 of 20 registers", 400, 20, 1, 400, 10},
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
			if d.Instants.Count != c.want || d.Instants.With != map[bool]string{true: "d0"}[c.want > 0] {
				t.Errorf("%s: %s is polled at %+v, want %d instants, and those of d0", c.what, name, d.Instants, c.want)
				break
			}
		}
	}
	serial := testBus("x")
	serial.URL = "rtu:///dev/ttyUSB0"
	r := Resolve(Config{Buses: map[string]Bus{"line": serial},
		Devices: map[string]Device{"d": testDevice("line", 1, points(20, 1))}})
	if got := r.Devices["d"].Instants; got.Count != 0 {
		t.Errorf("a device on a line is polled at one of %d instants", got.Count)
	}
}
