package modbus

import (
	"context"
	"fieldbridge/southbound/modbus/permit"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/commission"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/southbound/modbus/spec"
	"fieldbridge/southbound/modbus/wire"
)

// TestF19F20WithPymodbus reads and writes over UDP and in ASCII, on a serial
// line, 7E1, and over TCP.
func TestF19F20WithPymodbus(t *testing.T) {
	t.Parallel()
	needPymodbus(t)
	for _, scheme := range []string{"udp", "ascii+tcp", "ascii"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			cfg := firstRun("")
			b := cfg.Buses["plc"]
			if scheme == "ascii" {
				ours, theirs := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
				serialPair(t, ours, theirs)
				start(t, "/usr/bin/python3", "testdata/pymodbus_server.py", scheme, theirs, "19200")
				b.URL, b.Baud = "ascii://"+ours, 19200
			} else {
				port := strconv.Itoa(needtest.Port(t))
				start(t, "/usr/bin/python3", "testdata/pymodbus_server.py", scheme, port)
				b.URL = scheme + "://127.0.0.1:" + port
			}
			cfg.Buses["plc"] = b
			if got := values(firstGood(t, cfg, "boiler")); got != firstRunValues {
				t.Errorf("got  %s\nwant %s", got, firstRunValues)
			}
			b.Timeout *= 10
			place, err := b.Place()
			if err != nil {
				t.Fatal(err)
			}
			writeAndIdentify(t, commission.Open(place, b.Timeout.D(), commission.Options{}))
		})
	}
}

// writeAndIdentify writes by four functions and sends a PDU of no other command.
func writeAndIdentify(t *testing.T, m *commission.Master) {
	t.Helper()
	defer m.Close()
	for _, test := range []struct {
		point setup.Point
		value bridge.Value
		way   string
	}{
		{setup.Point{Holding: at(1)}, bridge.Int(7), "single"},
		{setup.Point{Holding: at(4), Type: "float64", Order: "CDAB"}, bridge.Float64(-1.5), "multiple"},
		{setup.Point{Coil: at(9)}, bridge.Bool(true), "single"},
		{setup.Point{Coil: at(10)}, bridge.Bool(true), "multiple"},
	} {
		test.point.Writable = &permit.Writable{}
		if is, _ := m.Write(t.Context(), 1, fieldOf(t, test.point), test.value, test.way); is.Outcome != bridge.Done {
			t.Errorf("%v, %s: %+v", test.value, test.way, is)
		}
	}
	// Function 23: read holding 1 and write holding 2.
	if got, err := m.Raw(t.Context(), 1, []byte{23, 0, 1, 0, 1, 0, 2, 0, 1, 2, 0, 5}); err != nil ||
		string(got) != "\x17\x02\x00\x07" {
		t.Errorf("function 23: % x, %v", got, err)
	}
	// Function 8: the answer is a copy of the request.
	if got, err := m.Raw(t.Context(), 1, []byte{8, 0, 0, 0xa5, 0x37}); err != nil ||
		string(got) != "\x08\x00\x00\xa5\x37" {
		t.Errorf("function 8: % x, %v", got, err)
	}
}

// TestF16: a unit 255 on a line is polled.
func TestF16OnALine(t *testing.T) {
	t.Parallel()
	for _, framing := range []modbustest.Framing{modbustest.RTU, modbustest.ASCII} {
		sim := modbustest.New()
		sim.Framing = framing
		firstRunUnit(sim.Unit(255))
		cfg := firstRun(strings.Replace(carriers[framing], "plc:1", sim.Start(t), 1))
		d := cfg.Devices["boiler"]
		d.UnitID = 255
		cfg.Devices["boiler"] = d
		if got := values(firstGood(t, cfg, "boiler")); got != firstRunValues {
			t.Errorf("got  %s\nwant %s", got, firstRunValues)
		}
	}
}

// TestF20DataBits: 7E1 is the default of ASCII alone.
func TestF20DataBits(t *testing.T) {
	for url, want := range map[string]string{
		"rtu:///dev/ttyS0":   "rtu:///dev/ttyS0, 9600 baud 8E1",
		"ascii:///dev/ttyS0": "ascii:///dev/ttyS0, 9600 baud 7E1",
		"ascii+tcp://h:1":    "ascii+tcp://h:1",
	} {
		b := testBus("")
		b.URL = url
		if p, err := b.Place(); err != nil || p.String() != want {
			t.Errorf("%s: %v, %v", url, p, err)
		}
	}
}

// TestUDPRefused: where nobody listens the bus is down, and says so.
func TestUDPRefused(t *testing.T) {
	t.Parallel()
	cfg := firstRun("udp://" + needtest.Address(t))
	b := cfg.Buses["plc"]
	b.Timeout = setting.Duration(5e9)
	cfg.Buses["plc"] = b
	if got := firstReason(t, cfg); got != "refused" {
		t.Errorf("nobody listens: %s, want refused", got)
	}
}

// TestUDPForeign: what other hosts send to the socket, and what the device sends
// that is no frame, is no answer and costs nothing.
func TestUDPForeign(t *testing.T) {
	t.Parallel()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	context.AfterFunc(ctx, func() { server.Close(); foreign.Close() })
	go func() {
		for {
			b := make([]byte, 300)
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			wrong := append(append([]byte{}, b[:4]...), 0, 5, b[6], 3, 2, 0, 66)
			right := append(append([]byte{}, b[:4]...), 0, 5, b[6], 3, 2, 0, 7)
			_, _ = foreign.WriteTo(wrong, from)
			for _, datagram := range [][]byte{{}, b[:n-1], wrong[:7], append(wrong, 0), make([]byte, 1400), right, right} {
				_, _ = server.WriteTo(datagram, from)
			}
		}
	}()
	b := testBus("")
	b.URL = "udp://" + server.LocalAddr().String()
	place, err := b.Place()
	if err != nil {
		t.Fatal(err)
	}
	m := commission.Open(place, 5e9, commission.Options{})
	defer m.Close()
	for range 20 {
		v, err := m.Read(ctx, 1, fieldOf(t, setup.Point{Holding: at(0)}), 1)
		if err != nil || v[0].Value.String() != "7" {
			t.Fatalf("%v, %v", v, err)
		}
	}
}

// TestF26: an exception of code 0 is one, with its own reason, and the connection
// stays.
func TestF26(t *testing.T) {
	for framing, url := range carriers {
		synctest.Test(t, func(t *testing.T) {
			sim := modbustest.New()
			sim.Framing = framing
			sim.Unit(1).Always(modbustest.Exception(0))
			b := testBus("")
			b.URL = url
			cfg := setup.Config{Buses: map[string]setup.Bus{"plc": b}, Devices: map[string]setup.Device{
				"d": testDevice("plc", 1, map[string]setup.Point{"a": {Discrete: at(0)}})}}
			r := newRigDial(t, cfg, nil, func(ctx context.Context, _ spec.Bus) (wire.Stream, error) {
				return sim.Dial(ctx)
			})
			time.Sleep(30 * time.Second)
			synctest.Wait()
			for _, batch := range r.stop() {
				if got := values(batch); got != "a=bad: exception_0" {
					t.Fatalf("%s: %s", url, got)
				}
			}
			if n := sim.Accepted(); n != 1 {
				t.Errorf("%s: %d connections", url, n)
			}
		})
	}
}
