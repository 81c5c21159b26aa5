package modbus

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
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

// pymodbusWrite is one thing that a slave does.
type pymodbusWrite struct {
	does string
	told [3]told
}

// pymodbusWrites are what testdata/pymodbus_writes.py does with a write, and what
// is to be told, by each way to confirm it.
var pymodbusWrites = []pymodbusWrite{
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
	slaves := []string{"testdata/pymodbus_writes.py", "tcp", strconv.Itoa(needtest.Port(t))}
	for _, w := range pymodbusWrites {
		slaves = append(slaves, w.does)
	}
	start(t, "/usr/bin/python3", slaves...)
	// All wait at once, however few tests may run at a time: each is a slave by itself,
	// or all those that wait for nothing.
	var all sync.WaitGroup
	defer all.Wait()
	for _, function := range []int{5, 6, 15, 16} {
		for group, writes := range groupsOfWrites(len(pymodbusWrites)) {
			all.Go(func() {
				t.Run(fmt.Sprintf("tcp/function %d/%s", function, group), func(t *testing.T) {
					writePymodbus(t, testBus("127.0.0.1:"+slaves[2]), function, writes)
				})
			})
		}
	}
	functions := []int{6, 15}
	if thorough() {
		functions = []int{5, 6, 15, 16}
	}
	var ends []string // of the lines, on their side
	var lines []func()
	for _, function := range functions {
		for group, writes := range groupsOfWrites(len(pymodbusWrites) - 1) {
			ours, theirs := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
			serialPair(t, ours, theirs)
			ends = append(ends, theirs)
			lines = append(lines, func() {
				t.Run(fmt.Sprintf("rtu/function %d/%s", function, group), func(t *testing.T) {
					b := testBus("")
					b.URL, b.Baud, b.Parity = "rtu://"+ours, 115200, "none"
					writePymodbus(t, b, function, writes)
				})
			})
		}
	}
	start(t, "/usr/bin/python3", append([]string{slaves[0], "rtu", strings.Join(ends, ",")}, slaves[3:]...)...)
	for _, line := range lines {
		all.Go(line)
	}
}

// oneWrite is a write to a slave of pymodbusWrites, confirmed in a way of confirms.
type oneWrite struct{ slave, by int }

// groupsOfWrites returns those to the first n slaves: to all that answer in time
// together, to each other one by itself. An answer that comes too late might else be
// taken, on a line, for the next one's.
func groupsOfWrites(n int) map[string][]oneWrite {
	groups := make(map[string][]oneWrite)
	for i, w := range pymodbusWrites[:n] {
		for j, by := range confirms {
			name := "answers"
			if w.does == "answers too late" {
				name = w.does + "/" + by
			} else if !w.answers() {
				name = w.does
			}
			groups[name] = append(groups[name], oneWrite{i, j})
		}
	}
	return groups
}

// answers tells whether the gateway has not to wait for the timeout.
func (w pymodbusWrite) answers() bool {
	return !strings.Contains(w.does, "silent") && w.does != "answers too late"
}

// writePymodbus writes by a function to some slaves, and checks what is told and what
// came. Slaves that answer have all the time that a busy machine may want.
func writePymodbus(t *testing.T, b setup.Bus, function int, writes []oneWrite) {
	t.Helper()
	b.Timeout, b.Retries = setting.Duration(time.Second), 5 // what is read comes sooner or later; a write is sent once
	if pymodbusWrites[writes[0].slave].answers() {
		b.Timeout = setting.Duration(30 * time.Second)
	}
	points, addresses := make(map[string]setup.Point), make(map[string]int)
	name := func(w oneWrite) string { return fmt.Sprintf("w%d_%s", w.slave, confirms[w.by]) }
	for _, w := range writes {
		by := confirms[w.by]
		p := setup.Point{Writable: &permit.Writable{}, Confirm: &permit.Confirm{By: by}, WriteFunction: &function}
		if by == "read_back" {
			within := setting.Duration(500 * time.Millisecond)
			if pymodbusWrites[w.slave].does == "shows it late" {
				within = setting.Duration(20 * time.Second)
			}
			p.Confirm.Within = &within
		}
		address := w.slave*12 + w.by*4
		if function > 6 { // not where the function for one writes
			address += 300
		}
		if addresses[name(w)] = address; function == 5 || function == 15 {
			p.Coil = &address
		} else {
			p.Holding = &address
		}
		points[name(w)] = p
	}
	d := testDevice("plc", 1, points)
	d.Every = setting.Duration(time.Hour)
	value := bridge.Int(7)
	if function == 5 || function == 15 {
		value = bridge.Bool(true)
	}
	place, err := b.Place()
	if err != nil {
		t.Fatal(err)
	}
	// What is sent on a line before the slave has opened it has no answer.
	counter := 1
	first := commission.Open(place, time.Second, commission.Options{})
	eventually(t, "the slave", func() bool {
		_, err := first.Read(t.Context(), 1, fieldOf(t, setup.Point{Input: &counter}), 1)
		return err == nil
	})
	first.Close()
	running(t, setup.Config{Buses: map[string]setup.Bus{"plc": b}, Devices: map[string]setup.Device{"d": d}},
		func(s *Source) {
			for _, w := range writes {
				slave := pymodbusWrites[w.slave]
				is := s.Write(t.Context(), bridge.Command{Device: "d", Point: name(w), Value: value})
				if got := (told{is.Outcome, is.Enough}); got != slave.told[w.by] {
					t.Errorf("function %d, a slave that %s, confirmed by %s: told %+v", function, slave.does, confirms[w.by], is)
				}
			}
		})
	m := commission.Open(place, 30*time.Second, commission.Options{})
	defer m.Close()
	for name, address := range addresses {
		counter := 1000*function + address
		var came []commission.Value
		eventually(t, "the count", func() bool { // on a line an answer that comes too late may be in its way
			came, err = m.Read(t.Context(), 1, fieldOf(t, setup.Point{Input: &counter}), 1)
			return err == nil
		})
		if came[0].Value != bridge.Uint(1) {
			t.Errorf("function %d to %s: the slave counts %v", function, name, came)
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
	case <-time.After(time.Minute):
		t.Errorf("nothing was read in a minute: %+v", s.Devices())
	}
}
