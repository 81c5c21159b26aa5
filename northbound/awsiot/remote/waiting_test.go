package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// atKill returns what the disk has of commands when a process is killed now.
func atKill(state *memoryState) *memoryState {
	saved, _ := state.Get(commandsKey)
	return &memoryState{values: map[string][]byte{commandsKey: slices.Clone(saved)}}
}

// TestWaitingAtAKill: commands that waited for their turn when the process was killed
// are on record and refused, whichever way they came, and none is carried out later.
func TestWaitingAtAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, told := &memoryState{}, &answers{}
		first, stop := running(testOptions(&fakeWriter{wait: 20 * time.Second}, state))
		for i := range waitingCommands + 1 {
			r := told.request(fmt.Sprintf("%02d", i))
			if i == 3 {
				r.by, r.id, r.payload = viaExecution, "03", []byte(`{"device":"boiler","point":"setpoint","value":1}`)
			}
			first.offer(r)
			synctest.Wait()
		}
		left := atKill(state)
		stop()

		w, l, told := &fakeWriter{}, &ledgerOfRecords{}, &answers{}
		o := testOptions(w, left)
		o.Emit = l.emit
		second, stop := running(o)
		defer stop()
		time.Sleep(time.Second)
		records := l.take()
		for i, got := range records {
			want := fmt.Sprintf("%02d refused the gateway was killed before its turn", i)
			if i == 0 {
				want = "00 unknown"
			}
			if got != want {
				t.Errorf("record %q, want %q", got, want)
			}
		}
		if len(records) != waitingCommands+1 {
			t.Errorf("%d records of %d commands", len(records), waitingCommands+1)
		}
		if f, _, err := second.memory.known("03"); err != nil || !f.Owed || f.Outcome != outcomeRefused {
			t.Errorf("the execution is %+v, %v", f, err)
		}
		for i := range waitingCommands + 1 {
			second.offer(told.request(fmt.Sprintf("%02d", i)))
			synctest.Wait()
			if got := told.of(fmt.Sprintf("%02d", i)); len(got) != 1 || !got[0].Again {
				t.Errorf("command %d, sent again: %+v", i, got)
			}
		}
		if w.count() != 0 || len(l.take()) != 0 {
			t.Errorf("%d writes after the kill, or records again", w.count())
		}
	})
}

// TestWaitedThenEnded: what became of a command that waited is what is told after a
// kill, not that it waited: too old when its turn came, and done.
func TestWaitedThenEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, told := &memoryState{}, &answers{}
		o := testOptions(&fakeWriter{wait: 10 * time.Second}, state)
		o.Emit = (&ledgerOfRecords{holds: true}).emit
		c, stop := running(o)
		for _, id := range []string{"first", "young", "old"} {
			r := told.request(id)
			if id == "old" {
				r.maxAge = 15 * time.Second
			}
			c.offer(r)
		}
		synctest.Wait()
		if f, _, _ := c.memory.known("old"); !f.Waits {
			t.Errorf("it does not wait: %+v", f)
		}
		time.Sleep(25 * time.Second)
		left := atKill(state)
		stop()
		l := &ledgerOfRecords{}
		o = testOptions(nil, left)
		o.Emit = l.emit
		_, stop = running(o)
		defer stop()
		time.Sleep(time.Second)
		records := l.take()
		if len(records) != 3 || records[0] != "first done" || !strings.HasPrefix(records[1], "old expired") ||
			records[2] != "young done" {
			t.Errorf("records %q", records)
		}
	})
}

// TestHold: who is about to stop the gateway waits for the command that is under way, and
// none begins then. Those that came wait for their turn, or are told that there was none.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told, w := &answers{}, &fakeWriter{wait: 10 * time.Second}
		c, stop := running(testOptions(w, &memoryState{}))
		c.offer(told.request("first"))
		synctest.Wait()
		begun := time.Now()
		hurried, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if resume, err := c.Hold(hurried); resume != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a command that goes on is not waited for: %v", err)
		}
		resume, err := c.Hold(t.Context())
		if waited := time.Since(begun); err != nil || waited < 10*time.Second || len(told.of("first")) != 1 {
			t.Fatalf("after %v: %v, %+v", waited, err, told.of("first"))
		}
		c.offer(told.request("second"))
		time.Sleep(time.Minute)
		if w.count() != 1 {
			t.Error("a command was begun meanwhile")
		}
		resume()
		time.Sleep(20 * time.Second)
		if got := told.of("second"); len(got) != 1 || got[0].Outcome != outcomeDone {
			t.Errorf("the one that waited: %+v", got)
		}
		if resume, err = c.Hold(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.offer(told.request("third"))
		c.offer(told.request("fourth"))
		synctest.Wait()
		stop() // with commands held up
		resume()
		for _, id := range []string{"third", "fourth"} {
			if got := told.of(id); len(got) != 1 || got[0].Outcome != outcomeRefused || got[0].Text != beforeItsTurn {
				t.Errorf("%s: %+v", id, got)
			}
		}
		if w.count() != 2 {
			t.Errorf("%d writes, want 2", w.count())
		}
	})
}

// TestWaitingWithABrokenDisk: what cannot be saved waits as before, and what is
// refused for good while it waits stays so.
func TestWaitingWithABrokenDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, told, w := &failingState{}, &answers{}, &fakeWriter{wait: 10 * time.Second}
		c, stop := running(testOptions(w, state))
		defer stop()
		c.offer(told.request("first"))
		synctest.Wait()
		c.offer(told.request("saved"))
		synctest.Wait()
		state.fail(true)
		c.offer(told.request("unsaved"))
		synctest.Wait()
		_ = c.Switch(t.Context(), true) // off counts although it cannot be saved
		time.Sleep(time.Minute)
		for id, want := range map[string]outcome{"first": outcomeDone, "saved": outcomeRefused, "unsaved": outcomeRefused} {
			if got := told.of(id); len(got) != 1 || got[0].Outcome != want {
				t.Errorf("%s: %+v, want %s", id, got, want)
			}
		}
		state.fail(false)
		_ = c.Switch(t.Context(), false)
		c.offer(told.request("saved"))
		synctest.Wait()
		if got := told.of("saved"); len(got) != 2 || !got[1].Again || w.count() != 1 {
			t.Errorf("sent again: %+v, %d writes", got, w.count())
		}
	})
}
