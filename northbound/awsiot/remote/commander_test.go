package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
)

func TestMemoryOfCommandsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWriter{}
		c := New(testOptions(w, &memoryState{}))
		refused := 0
		for i := range rememberedCommands + 10 {
			a := c.carryOut(t.Context(), request{payload: []byte(commandNow(fmt.Sprint(i), setSetpoint)), maxAge: time.Minute})
			if a.Outcome == outcomeRefused {
				refused++
			}
		}
		if refused != 10 {
			t.Errorf("%d refused, want 10", refused)
		}
		data, _ := c.o.State.Get(commandsKey)
		if len(data) > 64<<10 {
			t.Errorf("%d bytes of state", len(data))
		}
		// When the first are too old, there is room for as many, and ids count still.
		time.Sleep(30 * time.Second)
		again := commandNow("last", setSetpoint)
		time.Sleep(31 * time.Second)
		for _, text := range []string{commandNow("more", setSetpoint), again} {
			if a := c.carryOut(t.Context(), request{payload: []byte(text), maxAge: time.Minute}); a.Outcome != outcomeDone ||
				a.Again {
				t.Errorf("a minute later: %+v", a)
			}
		}
		if a := c.carryOut(t.Context(), request{payload: []byte(again), maxAge: time.Minute}); !a.Again ||
			len(c.memory.done) != rememberedCommands {
			t.Errorf("%+v, %d are remembered", a, len(c.memory.done))
		}
		long := strings.Repeat("i", maxCommandID)
		time.Sleep(rememberFor + time.Second)
		for i := range rememberedCommands {
			w.err = errors.New(strings.Repeat("e", 200))
			id := long[:maxCommandID-5] + fmt.Sprintf("%05d", i)
			if a := c.carryOut(t.Context(), request{payload: []byte(commandNow(id, setSetpoint)),
				maxAge: time.Minute}); a.Outcome != outcomeFailed {
				t.Fatalf("%+v", a)
			}
		}
		if data, _ = c.o.State.Get(commandsKey); len(data) > 64<<10 {
			t.Errorf("%d bytes of state", len(data))
		}
		w.err = nil
		time.Sleep(rememberFor + time.Second)
		if a := c.carryOut(t.Context(), request{payload: []byte(commandNow("new", setSetpoint)),
			maxAge: time.Minute}); a.Outcome != outcomeDone {
			t.Errorf("later: %+v", a)
		}
	})
}

func TestCommandValues(t *testing.T) {
	for text, want := range map[string]bridge.Value{
		"1": bridge.Int(1), "-9223372036854775808": bridge.Int(-9223372036854775808),
		"18446744073709551615": bridge.Uint(18446744073709551615),
		"1.5":                  bridge.Float64(1.5), "1e3": bridge.Float64(1000), "true": bridge.Bool(true),
		`"off"`: bridge.String("off"),
	} {
		if got, err := commandValue(json.RawMessage(text)); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"null", "{}", "[]", "1e999", ""} {
		if got, err := commandValue(json.RawMessage(text)); err == nil {
			t.Errorf("%s is taken as %v", text, got)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	f.Add([]byte(`{"id":"4711","at":1763887500123` + setSetpoint + `}`))
	f.Add([]byte(`{"id":"x","at":1,"action":"rebirth"}`))
	f.Add([]byte(`{"id":"x","at":1,"device":"d","set":[{"point":"a","value":1}]}`))
	f.Add([]byte(`{"id":"x","at":1,"device":"d","set":{"a":1,"b":false}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if cmd, err := parseCommand(data, viaExecution); err == nil && cmd.ID != "" {
			t.Errorf("an execution with an id of its own: %s", data)
		}
		cmd, err := parseCommand(data, viaTopic)
		if err == nil && (cmd.ID == "" || cmd.At == 0) {
			t.Errorf("%s is taken as %+v", data, cmd)
		}
		if cmd.ID != "" && (len(cmd.ID) > maxCommandID || !printable(cmd.ID)) && err == nil {
			t.Errorf("id %q", cmd.ID)
		}
	})
}

// TestSwitched: who writes is told at once how the switch stands, by a start, too,
// and that it is on only when that is saved.
func TestSwitched(t *testing.T) {
	state := &failingState{}
	var told []bool
	o := testOptions(nil, state)
	o.Switched = func(off bool) { told = append(told, off) }
	s := New(o)
	state.fail(true)
	_ = s.Switch(t.Context(), true)
	_ = s.Switch(t.Context(), false)
	state.fail(false)
	if err := s.Switch(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	next := New(o)
	if err := next.Switch(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if want := []bool{false, true, true, true, true, false}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

// TestSwitchWithoutADisk: off counts although it cannot be saved, on does not.
func TestSwitchWithoutADisk(t *testing.T) {
	state := &failingState{}
	s := New(testOptions(nil, state))
	state.fail(true)
	if err := s.Switch(t.Context(), true); err == nil || !s.Status(&Access{}).Off {
		t.Errorf("off: %v, %+v", err, s.Status(&Access{}))
	}
	if err := s.Switch(t.Context(), false); err == nil || !s.Status(&Access{}).Off {
		t.Errorf("on: %v, %+v", err, s.Status(&Access{}))
	}
	state.fail(false)
	for _, damaged := range switchKeys { // the state gives nothing for it
		if err := s.Switch(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		_ = state.Put(damaged, nil)
		if s = New(testOptions(nil, state)); !s.Status(&Access{}).Off {
			t.Errorf("without %s: %+v", damaged, s.Status(&Access{}))
		}
	}
	_ = state.Put(switchKeys[0], []byte("{"))
	if s = New(testOptions(nil, state)); !s.Status(&Access{}).Off {
		t.Errorf("a switch that cannot be read: %+v", s.Status(&Access{}))
	}
}

// slowState is a disk that takes its time for each write.
type slowState struct {
	memoryState
	takes time.Duration
}

// TestSwitchOnASlowDisk: while the disk blocks, health and status are told at
// once, and off counts, whoever else turns the switch.
func TestSwitchOnASlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(testOptions(nil, &slowState{takes: 5 * time.Second}))
		begin := time.Now()
		var turning sync.WaitGroup
		for _, off := range []bool{true, false, true} {
			turning.Go(func() {
				if err := s.Switch(t.Context(), off); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
			s.Health()
			if status := s.Status(&Access{}); !status.Off || time.Since(begin) > 0 {
				t.Errorf("%+v after %v", status, time.Since(begin))
			}
		}
		turning.Wait()
		if status := s.Status(&Access{}); !status.Off {
			t.Error("on, though it was turned off last")
		}
	})
}

// TestSwitchedOffWhileAWSIsAsked: the switch counts up to the last moment.
func TestSwitchedOffWhileAWSIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWriter{}
		c := New(testOptions(w, &memoryState{}))
		a := c.carryOut(t.Context(), request{by: viaExecution, id: "1", payload: []byte(setPump),
			permit: func(context.Context) (outcome, string) {
				if err := c.off.set(true); err != nil {
					t.Error(err)
				}
				return "", ""
			}})
		if a.Outcome != outcomeRefused || w.count() != 0 {
			t.Errorf("%+v, %d writes", a, w.count())
		}
	})
}

// TestCommandOfACrash: a process dies while it writes. The id is there, the
// outcome is not, and the next process does not write again.
func TestCommandOfACrash(t *testing.T) {
	w, state := &fakeWriter{}, &memoryState{}
	r := request{payload: []byte(commandNow("2", setSetpoint)), maxAge: time.Hour}
	if a := New(testOptions(w, state)).carryOut(t.Context(), r); a.Outcome != outcomeDone {
		t.Fatalf("%+v", a)
	}
	saved, _ := state.Get(commandsKey)
	_ = state.Put(commandsKey, []byte(strings.Replace(string(saved), `"done"`, `"unknown"`, 1)))
	a := New(testOptions(w, state)).carryOut(t.Context(), r)
	if a.Outcome != outcomeUnknown || !a.Again || w.count() != 1 {
		t.Errorf("%+v, %d writes", a, w.count())
	}
}

// TestCommandsThatParse: what docs/schemas/command.json takes, and only that; the
// schema itself is tested with the other schemas.
func TestCommandsThatParse(t *testing.T) {
	for rest, valid := range map[string]bool{
		`,"action":"write"` + setSetpoint + `,"expires":1763887500123`: true, `,"action":"read","device":"d"`: true,
		`,"action":"read","device":"d","points":["a"]`:                    true,
		`,"action":"interval","device":"d","every":"200ms","for":"1d12h"`: true,
		`,"action":"interval","device":"d","for":0`:                       true,
		`,"action":"interval","device":"d","every":"often"`:               false,
		setSetpoint + `,"expires":-1`:                                     false, setSetpoint + `,"at":-1`: false,
		`,"action":"read"`: false, `,"action":"interval"`: false, `,"action":"reboot"`: false,
		`,"device":"d","set":{"a":1,"b":true}`:                                    true,
		`,"device":"d","set":[{"point":"b","value":1},{"point":"a","value":"x"}]`: true,
		`,"device":"d","set":{}`:                                                  false, `,"device":"d","set":[]`: false,
		`,"device":"d","set":null`: false,
		`,"device":"d","set":"a"`:  false, `,"device":"d","set":{"a":1,"a":2}`: false, `,"set":{"a":1}`: false,
		`,"device":"d","set":[{"point":"a"}]`: false, `,"device":"d","set":[{"value":1}]`: false,
		`,"device":"d","set":[{"point":"a","value":1,"unit":"V"}]`: false, setSetpoint + `,"set":{"a":1}`: false,
		`,"device":"d","point":"a","set":{"b":1}`: false,
	} {
		if _, err := parseCommand([]byte(commandNow("1", rest)), viaTopic); (err == nil) != valid {
			t.Errorf("%s is parsed: %v", rest, err)
		}
	}
}

// TestUnknownClock: with a clock that is not known to be right nothing acts that
// has a time, whatever its times add up to.
func TestUnknownClock(t *testing.T) {
	for i, times := range []string{`"at":1000,"expires":-1000`, `"at":-5,"expires":5`, `"at":1000`, `"expires":1000`,
		`"at":-1`} {
		for _, by := range []way{viaTopic, viaExecution, viaShadow} {
			w := &fakeWriter{}
			o := testOptions(w, &memoryState{})
			o.Synced = func() bool { return false }
			id := fmt.Sprintf(`"id":"%d",`, i)
			if by == viaExecution {
				id = ""
			}
			a := New(o).carryOut(t.Context(), request{by: by, id: "1", maxAge: time.Hour,
				payload: []byte("{" + id + times + setSetpoint + "}")})
			if a.Outcome != outcomeRefused || w.count() != 0 {
				t.Errorf("%s by %s: %+v, %d writes", times, by, a, w.count())
			}
		}
	}
}

// TestSeveral: the order of a list is kept, an object has none.
func TestSeveral(t *testing.T) {
	for set, want := range map[string]string{
		`[{"point":"b","value":2008},{"point":"a","value":true}]`: "d false false b=2008 a=true",
		`{ "b": 1.5, "a": "heat" }`:                               "d false true b=1.5 a=heat",
	} {
		cmd, err := parseCommand([]byte(commandNow("1", `,"device":"d","set":`+set)), viaTopic)
		if err != nil {
			t.Fatal(err)
		}
		w, err := cmd.write()
		got := fmt.Sprint(w.Device, w.Point, " ", w.Value.Good(), " ", w.ByAddress)
		for _, s := range w.Set {
			got += fmt.Sprint(" ", s.Point, "=", s.Value)
		}
		if err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", set, got, err, want)
		}
	}
}

// TestSeveralByEachWay: a command of several points reaches the field as one,
// whichever way it comes, and is on record as it came.
func TestSeveralByEachWay(t *testing.T) {
	for _, by := range []way{viaTopic, viaExecution, viaShadow} {
		w := &fakeWriter{}
		o := testOptions(w, &memoryState{})
		var records []bridge.Batch
		o.Emit = func(b bridge.Batch, _ func(error)) { records = append(records, b) }
		const set = `[{"point":"command","value":2008},{"point":"p1","value":0}]`
		text := commandNow("1", `,"device":"meter","set":`+set)
		if by == viaExecution {
			text = `{"device":"meter","set":` + set + `}`
		}
		a := New(o).carryOut(t.Context(), request{by: by, id: "1", maxAge: time.Hour, payload: []byte(text)})
		if a.Outcome != outcomeDone || w.count() != 1 || len(w.writes[0].Set) != 2 || w.writes[0].ByAddress ||
			w.writes[0].Set[0] != (bridge.Setting{Point: "command", Value: bridge.Int(2008)}) {
			t.Errorf("%s: %+v, %+v", by, a, w.writes)
		}
		if len(records) != 1 || !slices.Contains(records[0].Readings,
			bridge.Reading{Point: "set", Value: bridge.String(set)}) {
			t.Errorf("%s: on record is %+v", by, records)
		}
	}
}
