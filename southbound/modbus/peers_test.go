package modbus

import (
	"context"
	"fieldbridge/southbound/modbus/permit"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
	"fieldbridge/southbound/modbus/commission"
	"fieldbridge/southbound/modbus/modbustest"
	"fieldbridge/southbound/modbus/setup"
)

// peers are the programs that were looked for: Python takes a second for it.
var peers sync.Map

// needPeer skips the test when a program that it talks to is missing, except
// where everything must run.
func needPeer(t *testing.T, name string, probe ...string) {
	t.Helper()
	there, _ := peers.LoadOrStore(name, sync.OnceValue(func() bool {
		return exec.Command(probe[0], probe[1:]...).Run() == nil
	}))
	if there.(func() bool)() {
		return
	}
	needtest.Missing(t, "%s is missing", name)
}

func needPymodbus(t *testing.T) {
	needPeer(t, "python3-pymodbus with python3-serial-asyncio", "/usr/bin/python3", "-c", "import pymodbus.server")
}

// start runs a program until the test ends.
func start(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = testLog{t}, testLog{t}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	for _, word := range []string{"Traceback", "Unknown exception", "Unknown error", "unable to fulfill"} {
		if strings.Contains(string(b), word) {
			l.t.Errorf("a peer says %q", word) // pymodbus, of an exception of Python
		}
	}
	return len(b), nil
}

// firstGood runs cfg until each point of device was good, and returns the values by
// name as one batch: on a busy machine a cycle may come in several, in any order.
func firstGood(t *testing.T, cfg setup.Config, device string) bridge.Batch {
	t.Helper()
	source, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	found := make(chan bridge.Batch, 1)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		all := make(map[string]bridge.Reading)
		source.Run(ctx, func(b bridge.Batch, _ func(error)) {
			for _, r := range b.Readings {
				if r.Value.Good() {
					all[r.Point] = r
				}
			}
			if len(all) == len(cfg.Devices[device].Points) {
				whole := bridge.Batch{At: b.At}
				for _, name := range slices.Sorted(maps.Keys(all)) {
					whole.Readings = append(whole.Readings, all[name])
				}
				select {
				case found <- whole:
				default:
				}
			}
		})
	})
	defer wg.Wait()
	defer cancel()
	select {
	case b := <-found:
		return b
	case <-time.After(time.Minute):
		t.Fatalf("no good batch in a minute: %+v", source.Devices())
		return bridge.Batch{}
	}
}

const firstRunValues = "door_open=true energy=12345.67 fault=true return_temp=-21.3 running=true supply_temp=71.5"

func TestFirstRunWithPymodbus(t *testing.T) {
	t.Parallel()
	needPymodbus(t)
	port := strconv.Itoa(needtest.Port(t))
	start(t, "/usr/bin/python3", "testdata/pymodbus_server.py", "tcp", port)
	b := firstGood(t, firstRun("tcp://127.0.0.1:"+port), "boiler")
	if got := values(b); got != firstRunValues {
		t.Errorf("got  %s\nwant %s", got, firstRunValues)
	}
	if age := time.Since(b.At); age > time.Minute || age < 0 {
		t.Errorf("acquired %v ago", age)
	}
}

// TestWritePymodbus writes with every function that has one.
func TestWritePymodbus(t *testing.T) {
	t.Parallel()
	needPymodbus(t)
	port := strconv.Itoa(needtest.Port(t))
	start(t, "/usr/bin/python3", "testdata/pymodbus_server.py", "tcp", port)
	b := testBus("127.0.0.1:" + port)
	b.Timeout *= 10
	place, err := b.Place()
	if err != nil {
		t.Fatal(err)
	}
	m := commission.Open(place, b.Timeout.D(), commission.Options{})
	defer m.Close()
	eventually(t, "the server", func() bool {
		_, err := m.Read(t.Context(), 1, fieldOf(t, setup.Point{Holding: at(0)}), 1)
		return err == nil
	})
	for _, test := range []struct {
		point setup.Point
		value bridge.Value
		way   string
	}{
		{setup.Point{Holding: at(1)}, bridge.Int(7), "auto"},
		{setup.Point{Holding: at(2)}, bridge.Int(8), "multiple"},
		{setup.Point{Holding: at(4), Type: "float64", Order: "CDAB"}, bridge.Float64(-1.5), "auto"},
		{setup.Point{Holding: at(8), Type: "uint32"}, bridge.Uint(4e9), "single"},
		{setup.Point{Holding: at(10), Bit: at(5)}, bridge.Bool(true), "auto"},
		{setup.Point{Holding: at(12), Type: "string", Length: 8}, bridge.String("press-2"), "auto"},
		{setup.Point{Coil: at(9)}, bridge.Bool(true), "auto"},
		{setup.Point{Coil: at(10)}, bridge.Bool(true), "multiple"},
	} {
		test.point.Writable = &permit.Writable{}
		if is, _ := m.Write(t.Context(), 1, fieldOf(t, test.point), test.value, test.way); is.Outcome != bridge.Done {
			t.Errorf("%v, %s: %+v", test.value, test.way, is)
		}
	}
}

// TestMbpoll: the simulator and libmodbus agree, with mbpoll as the master.
func TestMbpoll(t *testing.T) {
	needPeer(t, "mbpoll", "mbpoll", "-V")
	sim := modbustest.New()
	u := sim.Unit(1)
	u.Set(modbustest.Holding, 100, modbustest.Float32(21.5)...)
	host, port, _ := strings.Cut(sim.Start(t), ":")
	out, err := exec.Command("mbpoll", "-m", "tcp", "-p", port, "-a", "1", "-r", "100", "-0", "-t", "4:float", "-B", "-1",
		"-c", "1", host).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "[100]: \t21.5") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = exec.Command("mbpoll", "-m", "tcp", "-p", port, "-a", "1", "-r", "7", "-0", "-t", "4", host,
		"4660").CombinedOutput()
	if err != nil || u.Get(modbustest.Holding, 7, 1)[0] != 4660 {
		t.Errorf("%v\n%s", err, out)
	}
}
