package modbus

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/modbustest"
)

func newMaster(t *testing.T, b Bus, o MasterOptions) *Master {
	t.Helper()
	m, err := NewMaster(b, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestMasterReadsAndWrites(t *testing.T) {
	sim := modbustest.New()
	u := sim.Unit(3)
	for i := range 100 {
		u.Set(modbustest.Holding, 2*i, modbustest.Float32(float32(i)/2)...)
	}
	u.SetBit(modbustest.Coil, 2001, true)
	var trace []string
	b := testBus(sim.Start(t))
	b.Timeout *= 50
	m := newMaster(t, b, MasterOptions{Trace: func(line string) { trace = append(trace, line) }})
	got, err := m.Read(t.Context(), 3, Point{Holding: at(0), Type: "float32"}, 100)
	if err != nil || len(got) != 100 || got[99].Value != bridge.Float32(49.5) || got[99].Address != 198 {
		t.Errorf("%d values, the last %v, %v", len(got), got[len(got)-1], err)
	}
	if n := u.Count(); n != 2 {
		t.Errorf("%d requests for 200 registers, want 2", n)
	}
	got, err = m.Read(t.Context(), 3, Point{Coil: at(0)}, 2002)
	if err != nil || len(got) != 2002 || !got[2001].Value.Truth() || got[2000].Value.Truth() {
		t.Errorf("%d coils, %v", len(got), err)
	}
	if err := m.Write(t.Context(), 3, Point{Holding: at(50), Type: "int32", Order: "CDAB"}, bridge.Int(-2),
		"auto"); err != nil {
		t.Error(err)
	}
	if got := u.Get(modbustest.Holding, 50, 2); got[0] != 0xfffe || got[1] != 0xffff {
		t.Errorf("%x", got)
	}
	if len(trace) < 8 || !strings.HasSuffix(trace[0], "   unit 3, read holding registers 0, 124") ||
		!strings.HasPrefix(trace[1], "<- 00 01 00 00 00 fb 03 03 f8") {
		t.Errorf("trace:\n%s", strings.Join(trace, "\n"))
	}
	if _, err := m.Read(t.Context(), 3, Point{Holding: at(65535), Type: "float32"}, 1); err == nil {
		t.Error("it read beyond the table")
	}
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
	m := newMaster(t, testBus("anything"),
		MasterOptions{Relay: func(ctx context.Context, unit byte, pdu []byte) ([]byte, error) {
			return source.Relay(ctx, "plc", unit, pdu)
		}})
	got, err := m.Read(t.Context(), 2, Point{Holding: at(7)}, 1)
	if err != nil || got[0].Value != bridge.Uint(99) {
		t.Errorf("%v, %v", got, err)
	}
	sim.Unit(2).Always(modbustest.Exception(2))
	if _, err := m.Read(t.Context(), 2, Point{Holding: at(7)}, 1); err == nil ||
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

func TestScanUnits(t *testing.T) {
	sim := modbustest.New()
	sim.Unit(2).Identify("Acme", "VALVE-1", "2.0")
	sim.Unit(5).Only(modbustest.Holding, 100, 10)
	sim.Unit(7).Always(modbustest.Exception(11))
	b := testBus(sim.Start(t))
	b.Timeout = setting.Duration(200 * time.Millisecond)
	m := newMaster(t, b, MasterOptions{})
	var found []string
	asked := 0
	if err := m.ScanUnits(t.Context(), 1, 8, func(int) { asked++ },
		func(f Found) { found = append(found, f.String()) }); err != nil {
		t.Fatal(err)
	}
	want := "unit 2: it has holding 0 (Acme, VALVE-1, 2.0)\nunit 5: it answers with exception 2"
	if got := strings.Join(found, "\n"); got != want || asked != 8 {
		t.Errorf("asked %d, found\n%s\nwant\n%s", asked, got, want)
	}
}

func TestScanAddresses(t *testing.T) {
	sim := modbustest.New()
	u := sim.Unit(1)
	u.Only(modbustest.Holding, 0, 3)
	u.Only(modbustest.Holding, 120, 20)
	u.Only(modbustest.Holding, 500, 1)
	b := testBus(sim.Start(t))
	b.Timeout *= 50
	m := newMaster(t, b, MasterOptions{})
	var found []string
	err := m.ScanAddresses(t.Context(), 1, "holding", 0, 999, func(int) {}, func(first, end int) {
		found = append(found, fmt.Sprintf("%d-%d", first, end-1))
	})
	if got := strings.Join(found, " "); err != nil || got != "0-2 120-139 500-500" {
		t.Errorf("%s, %v", got, err)
	}
	if n := u.Count(); n > 1024 {
		t.Errorf("%d requests for 1,000 addresses, 24 of them there", n)
	}
	if err := m.ScanAddresses(t.Context(), 1, "holdign", 0, 9, nil, nil); err == nil ||
		!strings.Contains(err.Error(), `did you mean "holding"?`) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := m.ScanAddresses(ctx, 1, "holding", 0, 9999, func(int) { cancel() }, nil); err == nil {
		t.Error("it went on when it was stopped")
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

// TestScanSettingPassesNoise: what answers, but not by the protocol, is not a unit
// at these settings of a line.
func TestScanSettingPassesNoise(t *testing.T) {
	sim := modbustest.New()
	sim.Unit(3).Always(modbustest.WrongFunction)
	sim.Unit(5).Always(modbustest.Exception(2))
	b := testBus(sim.Start(t))
	b.Timeout = setting.Duration(200 * time.Millisecond)
	m := newMaster(t, b, MasterOptions{})
	for unit, want := range map[int]presence{3: noise, 4: absent, 5: here} {
		if got, answer, err := m.look(t.Context(), unit); got != want || err != nil {
			t.Errorf("unit %d: %d (%q), %v, want %d", unit, got, answer, err, want)
		}
	}
	unit, err := scanSetting(t.Context(), b, MasterOptions{}, 3, 5, func(int) {})
	if unit != 5 || err != nil {
		t.Errorf("unit %d, %v, want 5", unit, err)
	}
}
