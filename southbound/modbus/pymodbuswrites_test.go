package modbus

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus/commission"
	"fieldbridge/southbound/modbus/permit"
	"fieldbridge/southbound/modbus/setup"
)

// told is what a write came to.
type told struct {
	outcome bridge.WriteOutcome
	enough  bool
}

// What writes are told as, as far as these tests have slaves for it.
var (
	toldDone, toldRefused, toldFailed = told{bridge.Done, false}, told{bridge.Refused, false}, told{bridge.Failed, false}
	toldOpen, toldEnough              = told{bridge.Unconfirmed, false}, told{bridge.Unconfirmed, true}
)

// confirms are the ways to confirm a write, in the order of what is told.
var confirms = []string{"read_back", "echo", "none"}

// pymodbusWrites are what testdata/pymodbus_writes.py does with a write, and what
// is to be told, by each way to confirm it.
var pymodbusWrites = []struct {
	does string
	told [3]told
}{
	{"takes", [3]told{toldDone, toldEnough, toldEnough}},
	{"refuses", [3]told{toldRefused, toldRefused, toldRefused}},
	{"refuses with a number of its own", [3]told{toldRefused, toldRefused, toldRefused}},
	{"ignores", [3]told{toldOpen, toldEnough, toldEnough}},
	{"changes", [3]told{toldOpen, toldEnough, toldEnough}},
	{"takes and is silent", [3]told{toldDone, toldFailed, toldFailed}},
	{"ignores and is silent", [3]told{toldFailed, toldFailed, toldFailed}},
	{"shows it late", [3]told{toldDone, toldEnough, toldEnough}},
	{"answers late", [3]told{toldDone, toldEnough, toldEnough}},
	{"answers too late", [3]told{toldDone, toldFailed, toldFailed}},
	{"acknowledges", [3]told{toldDone, toldEnough, toldEnough}},
	{"echoes another address", [3]told{toldDone, toldOpen, toldEnough}},
	{"echoes another value", [3]told{toldDone, toldOpen, toldEnough}},
	{"takes and hangs up", [3]told{toldDone, toldFailed, toldFailed}}, // has no meaning on a line
}

// TestOutcomeIsWhatPymodbusDid is TestOutcomeIsWhatTheSlaveDid on a server that is
// not ours, by each function that writes, over TCP and on a serial line: what is
// told is what was done, each write was sent once, and Python met no exception.
func TestOutcomeIsWhatPymodbusDid(t *testing.T) {
	t.Parallel()
	needPymodbus(t)
	slaves := []string{"testdata/pymodbus_writes.py", "tcp", strconv.Itoa(freePort(t))}
	for _, w := range pymodbusWrites {
		slaves = append(slaves, w.does)
	}
	start(t, "/usr/bin/python3", slaves...)
	functions := []int{5, 6, 15, 16}
	for _, function := range functions {
		t.Run(fmt.Sprintf("tcp/function %d", function), func(t *testing.T) {
			t.Parallel()
			b := testBus("127.0.0.1:" + slaves[2])
			writePymodbus(t, b, function, len(pymodbusWrites))
		})
	}
	t.Run("rtu", func(t *testing.T) {
		t.Parallel()
		ours, theirs := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
		serialPair(t, ours, theirs)
		line := append([]string{slaves[0], "rtu", theirs}, slaves[3:]...)
		start(t, "/usr/bin/python3", line...)
		b := testBus("")
		b.URL, b.Baud, b.Parity = "rtu://"+ours, 115200, "none"
		if os.Getenv("FIELDBRIDGE_SOAK") == "" {
			functions = []int{6, 15} // each takes seconds
		}
		for _, function := range functions {
			writePymodbus(t, b, function, len(pymodbusWrites)-1)
		}
	})
}

// writePymodbus writes by a function to as many slaves, and checks what is told and
// what came.
func writePymodbus(t *testing.T, b setup.Bus, function, slaves int) {
	t.Helper()
	b.Timeout, b.Retries = setting.Duration(time.Second), 5 // what is read comes sooner or later; a write is sent once
	points, addresses := make(map[string]setup.Point), make(map[string]int)
	for i := range slaves {
		for j, by := range confirms {
			p := setup.Point{Writable: &permit.Writable{}, Confirm: &permit.Confirm{By: by}, WriteFunction: &function}
			if by == "read_back" {
				within := setting.Duration(500 * time.Millisecond)
				p.Confirm.Within = &within
			}
			name, address := fmt.Sprintf("w%d_%s", i, by), i*12+j*4
			if function > 6 { // not where the function for one writes
				address += 300
			}
			if addresses[name] = address; function == 5 || function == 15 {
				p.Coil = &address
			} else {
				p.Holding = &address
			}
			points[name] = p
		}
	}
	d := testDevice("plc", 1, points)
	d.Every = setting.Duration(time.Hour)
	value := bridge.Int(7)
	if function == 5 || function == 15 {
		value = bridge.Bool(true)
	}
	running(t, setup.Config{Buses: map[string]setup.Bus{"plc": b}, Devices: map[string]setup.Device{"d": d}},
		func(s *Source) {
			for i, w := range pymodbusWrites[:slaves] {
				for j, by := range confirms {
					is := s.Write(t.Context(), bridge.Command{Device: "d", Point: fmt.Sprintf("w%d_%s", i, by), Value: value})
					if got := (told{is.Outcome, is.Enough}); got != w.told[j] {
						t.Errorf("function %d, a slave that %s, confirmed by %s: told %+v", function, w.does, by, is)
					}
				}
			}
		})
	place, err := b.Place()
	if err != nil {
		t.Fatal(err)
	}
	m := commission.Open(place, b.Timeout.D()*10, commission.Options{})
	defer m.Close()
	for name, address := range addresses {
		counter := 1000*function + address
		came, err := m.Read(t.Context(), 1, fieldOf(t, setup.Point{Input: &counter}), 1)
		if err != nil || came[0].Value != bridge.Uint(1) {
			t.Errorf("function %d to %s: the slave counts %v, %v", function, name, came, err)
		}
	}
}

// running runs a source while f, which begins when a first batch has come.
func running(t *testing.T, cfg setup.Config, f func(s *Source)) {
	t.Helper()
	s, err := New(cfg, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	polled := make(chan struct{})
	var first sync.Once
	var all sync.WaitGroup
	all.Go(func() {
		_ = s.Run(ctx, func(b bridge.Batch, _ func(error)) {
			if goodIn(b) > 0 {
				first.Do(func() { close(polled) })
			}
		})
	})
	defer all.Wait()
	defer cancel()
	select {
	case <-polled:
		f(s)
	case <-time.After(20 * time.Second):
		t.Errorf("nothing was read in 20s: %+v", s.Devices())
	}
}
