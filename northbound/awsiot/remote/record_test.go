package remote

import (
	"context"
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

// ledgerOfRecords takes the records of commands, as a queue would.
type ledgerOfRecords struct {
	mu      sync.Mutex
	records []string // "id outcome text"
	err     error    // why it takes none
	holds   bool     // nothing is told to be safe
}

func (l *ledgerOfRecords) emit(b bridge.Batch, safe func(error)) {
	l.mu.Lock()
	texts := map[string]string{}
	for _, r := range b.Readings {
		texts[r.Point] = r.Value.Str()
	}
	err, holds := l.err, l.holds
	if err == nil {
		l.records = append(l.records, strings.TrimSpace(texts["id"]+" "+texts["outcome"]+" "+texts["text"]))
	}
	l.mu.Unlock()
	if !holds {
		safe(err)
	}
}

func (l *ledgerOfRecords) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.records
	l.records = nil
	slices.Sort(all)
	return all
}

func (l *ledgerOfRecords) refuse(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// answers collects what is told of commands, by id.
type answers struct {
	mu  sync.Mutex
	all map[string][]Answer
}

func (a *answers) request(id string) request {
	return request{by: viaTopic, payload: []byte(commandNow(id, setSetpoint)), maxAge: time.Hour, reply: func(got Answer) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.all == nil {
			a.all = make(map[string][]Answer)
		}
		a.all[id] = append(a.all[id], got)
	}}
}

func (a *answers) of(id string) []Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[id]
}

// running runs a commander until the function that it returns is called.
func running(o Options) (c *Commander, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	c = New(o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	return c, func() {
		cancel()
		<-done
	}
}

// TestEveryCommandIsAnswered: however many come at once, each is answered once and
// on record, and what was refused stays so.
func TestEveryCommandIsAnswered(t *testing.T) {
	for _, n := range []int{waitingCommands, waitingCommands + 2, 100, 500} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, l, told := &fakeWriter{wait: 25 * time.Second}, &ledgerOfRecords{}, &answers{}
				o := testOptions(w, &memoryState{})
				o.Emit = l.emit
				c, stop := running(o)
				c.offer(told.request("first"))
				synctest.Wait() // it is under way
				for i := range n {
					c.offer(told.request(fmt.Sprint(i)))
				}
				time.Sleep(time.Second)
				refused := 0
				for i := range n {
					if got := told.of(fmt.Sprint(i)); len(got) == 1 && got[0].Outcome == outcomeRefused &&
						strings.HasPrefix(got[0].Text, "busy: 20 commands are waiting") {
						refused++
					}
				}
				if want := max(0, n-waitingCommands); refused != want || len(l.take()) != want {
					t.Errorf("%d of %d are refused at once, want %d, all on record", refused, n, want)
				}
				time.Sleep(50 * time.Minute)
				last := fmt.Sprint(n - 1)
				c.offer(told.request(last))
				time.Sleep(time.Minute)
				if got := told.of(last); len(got) != 2 || !got[1].Again || got[1].Outcome != got[0].Outcome {
					t.Errorf("the last, sent again: %+v", got)
				}
				if got := w.count() + refused; got != n+1 {
					t.Errorf("%d were written or refused, of %d", got, n+1)
				}
				if got := len(l.take()); got != n+1-refused {
					t.Errorf("%d records of those that had their turn, want %d", got, n+1-refused)
				}
				stop()
			})
		})
	}
}

// TestStopAnswersThoseThatWait: nothing that was taken is forgotten when the
// gateway stops.
func TestStopAnswersThoseThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, l, told := &fakeWriter{wait: time.Second}, &ledgerOfRecords{}, &answers{}
		o := testOptions(w, &memoryState{})
		o.Emit = l.emit
		c, stop := running(o)
		for i := range 5 {
			c.offer(told.request(fmt.Sprint(i)))
		}
		synctest.Wait()
		stop()
		for i := range 5 {
			if got := told.of(fmt.Sprint(i)); len(got) != 1 {
				t.Errorf("command %d: %+v", i, got)
			}
		}
		if got := l.take(); len(got) != 5 || got[4] != "4 refused the gateway stopped before its turn" {
			t.Errorf("records %q", got)
		}
	})
}

// TestRecordAfterAKill: a process that dies at any instant after it began a command
// leaves a record of it, once it runs again, and one that is safe comes no more.
func TestRecordAfterAKill(t *testing.T) {
	for name, test := range map[string]struct {
		killed  time.Duration // after the command came
		holds   bool          // the queue of the first process did not get it to the disk
		records []string
	}{
		"between write and read-back": {time.Second, false, []string{"1 unknown"}},
		"before it is safe":           {3 * time.Second, true, []string{"1 done"}},
		"after it is safe":            {3 * time.Second, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				state := &memoryState{}
				o := testOptions(&fakeWriter{wait: 2 * time.Second}, state)
				o.Emit = (&ledgerOfRecords{holds: test.holds}).emit
				first, stop := running(o)
				first.offer((&answers{}).request("1"))
				time.Sleep(test.killed)
				saved, _ := state.Get(commandsKey)
				atKill := &memoryState{values: map[string][]byte{commandsKey: saved}}
				stop()

				w, l, told := &fakeWriter{}, &ledgerOfRecords{}, &answers{}
				o = testOptions(w, atKill)
				o.Emit = l.emit
				second, stop := running(o)
				time.Sleep(time.Second)
				if got := l.take(); !slices.Equal(got, test.records) {
					t.Errorf("records %q, want %q", got, test.records)
				}
				second.offer(told.request("1"))
				time.Sleep(time.Second)
				if got := told.of("1"); len(got) != 1 || !got[0].Again || w.count() != 0 {
					t.Errorf("asked again: %+v, %d writes", got, w.count())
				}
				stop()

				third, l3 := testOptions(w, atKill), &ledgerOfRecords{}
				third.Emit = l3.emit
				_, stop = running(third)
				time.Sleep(time.Second)
				if got := l3.take(); len(got) != 0 {
					t.Errorf("records again: %q", got)
				}
				stop()
			})
		})
	}
}

// TestRecordThatTheQueueRefuses: it is tried until it is taken.
func TestRecordThatTheQueueRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, told := &ledgerOfRecords{err: bridge.ErrFull}, &answers{}
		o := testOptions(&fakeWriter{}, &memoryState{})
		o.Emit = l.emit
		c, stop := running(o)
		defer stop()
		c.offer(told.request("1"))
		time.Sleep(time.Minute)
		if got := told.of("1"); len(got) != 1 || got[0].Outcome != outcomeDone {
			t.Errorf("%+v", got)
		}
		l.refuse(nil)
		time.Sleep(2 * recordAgain)
		if got := l.take(); !slices.Equal(got, []string{"1 done"}) {
			t.Errorf("records %q", got)
		}
		time.Sleep(time.Hour)
		if got := l.take(); len(got) != 0 {
			t.Errorf("again: %q", got)
		}
	})
}

// TestEverythingIsOnRecord: what is no command, too old, or finds no memory, too.
func TestEverythingIsOnRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state, l, told := &failingState{}, &ledgerOfRecords{}, &answers{}
		o := testOptions(&fakeWriter{err: errors.New("timeout")}, state)
		o.Emit = l.emit
		c, stop := running(o)
		defer stop()
		give := func(id, payload string) {
			r := told.request(id)
			r.payload = []byte(payload)
			c.offer(r)
			time.Sleep(time.Second)
			if got := told.of(id); len(got) != 1 {
				t.Errorf("%s: %+v", id, got)
			}
		}
		give("syntax", `{"id":"syntax"`)
		give("key", `{"id":"key","at":1,"vlaue":3}`)
		give("no id", `{"at":1}`)
		give("old", fmt.Sprintf(`{"id":"old","at":%d%s}`, time.Now().Add(-2*time.Hour).UnixMilli(), setSetpoint))
		give("failed", commandNow("failed", setSetpoint))
		state.fail(true)
		give("disk", commandNow("disk", setSetpoint))
		state.fail(false)
		var outcomes []string
		for _, r := range l.take() {
			id, rest, _ := strings.Cut(r, " ")
			what, _, _ := strings.Cut(rest, " ")
			outcomes = append(outcomes, id+" "+what)
		}
		want := []string{"disk refused", "failed failed", "key refused", "old expired", "refused a", "refused not"}
		if !slices.Equal(outcomes, want) {
			t.Errorf("records %q, want %q", outcomes, want)
		}
	})
}
