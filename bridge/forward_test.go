package bridge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/bridge/bridgetest"

	"github.com/google/go-cmp/cmp"
)

// rig is a forwarder between a model queue and a scripted sink, in a bubble.
type rig struct {
	t      *testing.T
	queue  *bridgetest.Queue
	sink   *bridgetest.Sink
	fwd    *bridge.Forwarder
	log    *bytes.Buffer
	cancel context.CancelFunc
	done   chan struct{}
}

// start runs the forwarder, after what is to be done with it or with its queue before;
// it ends with the test's bubble.
func start(t *testing.T, sink *bridgetest.Sink, format bridge.Format, config bridge.ForwardConfig,
	before ...any) *rig {
	r := &rig{t: t, queue: bridgetest.NewQueue(), sink: sink, log: &bytes.Buffer{}, done: make(chan struct{})}
	r.fwd = bridge.NewForwarder(r.queue, format, config, slog.New(slog.NewTextHandler(r.log, nil)))
	for _, f := range before {
		switch f := f.(type) {
		case func(*bridgetest.Queue):
			f(r.queue)
		case func(*bridge.Forwarder):
			f(r.fwd)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { defer close(r.done); sink.Run(ctx, r.fwd.Serve) }()
	synctest.Wait()
	return r
}

func (r *rig) stop() { r.cancel(); <-r.done }

func (r *rig) append(device string, n int) {
	for range n {
		r.queue.Append(bridge.Batch{Device: device, At: time.Now(), Readings: []bridge.Reading{good("a", 1)}}, nil)
	}
}

// after lets the bubble's time pass.
func (r *rig) after(d time.Duration) { time.Sleep(d); synctest.Wait() }

func (r *rig) deliveries() []bridgetest.Delivery {
	r.t.Helper()
	d, err := bridgetest.Deliveries(r.sink.Taken())
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *rig) seqs(device string) (seqs []uint64) {
	r.t.Helper()
	for _, d := range r.deliveries() {
		if device == "" || d.Device == device {
			seqs = append(seqs, d.Seq)
		}
	}
	return seqs
}

func (r *rig) balanced(acked, waiting, dead uint64) {
	r.t.Helper()
	l := r.queue.Ledger()
	if !l.Balanced() || l.Acked.Batches != acked || l.Waiting.Batches != waiting || l.Dead.Batches != dead {
		r.t.Errorf("ledger %+v, want acked %d, waiting %d, dead %d", l, acked, waiting, dead)
	}
}

func upTo(n uint64) (seqs []uint64) {
	for i := range n {
		seqs = append(seqs, i+1)
	}
	return seqs
}

func TestLingerGathersCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, &bridgetest.Sink{}, bridgetest.Format{Everything: "t"}, bridge.ForwardConfig{Linger: time.Second})
		defer r.stop()
		r.append("d", 1)
		r.after(900 * time.Millisecond)
		r.append("d", 2)
		if len(r.sink.Taken()) != 0 {
			t.Fatal("sent before the linger is over")
		}
		r.after(100 * time.Millisecond)
		if got := len(r.sink.Taken()); got != 1 {
			t.Fatalf("%d messages", got)
		}
		if diff := cmp.Diff(upTo(3), r.seqs("")); diff != "" {
			t.Error(diff)
		}
		r.balanced(3, 0, 0)
	})
}

// TestLanesWaitOnce: a lane that waits for company sets one timer for a message, by the
// clock that it was given, however many batches come meanwhile.
func TestLanesWaitOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set, stopped atomic.Int64
		sink := &bridgetest.Sink{}
		r := start(t, sink, bridgetest.Format{Everything: "t"}, bridge.ForwardConfig{Linger: time.Second},
			func(f *bridge.Forwarder) {
				f.Timed(func(d time.Duration, f func()) func() bool {
					set.Add(1)
					stop := time.AfterFunc(d, f).Stop
					return func() bool { stopped.Add(1); return stop() }
				})
			})
		for range 3 {
			for range 10 {
				r.append("d", 1)
				r.after(50 * time.Millisecond)
			}
			r.after(time.Second)
		}
		if got := set.Load(); got != 3 {
			t.Errorf("%d timers for 3 messages of 10 batches", got)
		}
		r.balanced(30, 0, 0)
		if got := len(sink.Taken()); got != 3 {
			t.Errorf("%d messages, want 3", got)
		}
		r.append("d", 1)
		r.stop()
		if set, stopped := set.Load(), stopped.Load(); set != stopped {
			t.Errorf("%d timers were set and %d stopped", set, stopped)
		}
	})
}

func TestFullMessageDoesNotLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, &bridgetest.Sink{}, bridgetest.Format{Everything: "t"}, bridge.ForwardConfig{Linger: time.Hour})
		defer r.stop()
		r.append("d", 45) // of 94 bytes each: 42 fill a message
		r.after(0)
		if got := len(r.seqs("")); got != 42 {
			t.Errorf("%d batches sent at once", got)
		}
		r.after(time.Hour)
		r.balanced(45, 0, 0)
	})
}

func TestWaitingSensorIsNotKeptBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, &bridgetest.Sink{}, bridgetest.Format{Everything: "t"}, bridge.ForwardConfig{Linger: time.Hour})
		defer r.stop()
		r.append("polled", 1)
		var safe []error
		r.queue.Append(bridge.Batch{Device: "sensor", Readings: []bridge.Reading{good("a", 1)}},
			func(err error) { safe = append(safe, err) })
		r.after(0)
		if len(safe) != 1 || safe[0] != nil {
			t.Errorf("safe called with %v", safe)
		}
		r.balanced(2, 0, 0) // the polled batch travelled along
	})
}

// The first sensor that waits does not wait for others; those that come just
// after it share a message, unless nothing may linger.
func TestWaitingSensorsShare(t *testing.T) {
	for linger, want := range map[time.Duration][]int{time.Hour: {1, 1, 2, 3}, 0: {1, 4, 4, 5}} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, &bridgetest.Sink{}, bridgetest.Format{Everything: "t"}, bridge.ForwardConfig{Linger: linger})
			defer r.stop()
			safe := 0
			sensor := func() {
				r.queue.Append(bridge.Batch{Device: "sensor", Readings: []bridge.Reading{good("a", 1)}}, func(error) { safe++ })
				r.after(time.Millisecond)
			}
			var got []int
			note := func() { got = append(got, len(r.sink.Taken())) }
			sensor()
			note()
			for range 3 {
				sensor()
			}
			note()
			r.after(time.Millisecond)
			note()
			if safe != 4 {
				t.Errorf("linger %v: safe is called %d times, want 4", linger, safe)
			}
			r.after(time.Minute)
			sensor()
			note()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("linger %v, messages: %s", linger, diff)
			}
		})
	}
}

func TestTopicsKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &bridgetest.Sink{LinkLimits: bridge.Limits{Window: 3, Messages: 50},
			Script: func(n int, _ bridge.Message) bridgetest.Outcome {
				return bridgetest.Outcome{After: time.Duration(20+n%7*13) * time.Millisecond}
			}}
		r := start(t, sink, bridgetest.Format{MaxRoom: 300},
			bridge.ForwardConfig{Linger: 10 * time.Millisecond, LiveShare: 0.8})
		defer r.stop()
		const n = 400
		for i := range n {
			r.append(fmt.Sprintf("d%d", i%5), 1)
			if i%10 == 0 {
				r.after(7 * time.Millisecond)
			}
		}
		r.after(time.Minute)
		r.balanced(n, 0, 0)
		for i := range 5 {
			if got := r.seqs(fmt.Sprintf("d%d", i)); !slices.IsSorted(got) || len(got) != n/5 {
				t.Errorf("device %d: %v", i, got)
			}
		}
		if r.sink.Peak() > 3 {
			t.Errorf("%d in flight at a window of 3", r.sink.Peak())
		}
	})
}

func TestLanes(t *testing.T) {
	backlog := func(q *bridgetest.Queue) {
		for range 400 {
			q.Append(bridge.Batch{Device: "d", Readings: []bridge.Reading{good("a", 1)}}, nil)
		}
	}
	limits := bridge.Limits{Window: 20, Messages: 10}
	t.Run("live-first", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, &bridgetest.Sink{LinkLimits: limits}, bridgetest.Format{Everything: "t", MaxRoom: 200},
				bridge.ForwardConfig{LiveShare: 0.5}, backlog)
			defer r.stop()
			r.append("d", 1)
			r.after(time.Second)
			got := r.seqs("")
			if i := slices.Index(got, 401); i < 0 || i > 6 {
				t.Errorf("the fresh batch is not among the first: %v", got)
			}
			r.after(time.Minute)
			r.balanced(401, 0, 0)
			for _, d := range r.deliveries() {
				if d.Backlog != (d.Seq <= 400) {
					t.Fatalf("seq %d is marked backlog: %v", d.Seq, d.Backlog)
				}
			}
		})
	})
	t.Run("oldest-first", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, &bridgetest.Sink{LinkLimits: limits}, bridgetest.Format{Everything: "t", MaxRoom: 200},
				bridge.ForwardConfig{OldestFirst: true, LiveShare: 0.5}, backlog)
			defer r.stop()
			r.append("d", 10)
			r.after(2 * time.Minute)
			if diff := cmp.Diff(upTo(410), r.seqs("")); diff != "" {
				t.Error(diff)
			}
		})
	})
}

func TestLostConnectionLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var honest atomic.Bool
		sink := &bridgetest.Sink{LinkLimits: bridge.Limits{Window: 5},
			Script: func(n int, _ bridge.Message) bridgetest.Outcome {
				if honest.Load() {
					return bridgetest.Outcome{}
				}
				switch n % 10 {
				case 3:
					return bridgetest.Outcome{Lose: true, Untaken: n%20 == 3}
				case 7:
					return bridgetest.Outcome{After: 50 * time.Millisecond, Cut: true}
				}
				return bridgetest.Outcome{After: 30 * time.Millisecond}
			}}
		r := start(t, sink, bridgetest.Format{MaxRoom: 200}, bridge.ForwardConfig{LiveShare: 0.8})
		defer r.stop()
		const n = 300
		for i := range n {
			r.append(fmt.Sprintf("d%d", i%3), 1)
			r.after(5 * time.Millisecond)
		}
		r.after(time.Minute)
		// What a link has lost comes back when it ends, and nobody here times out.
		honest.Store(true)
		sink.Cut()
		r.after(10 * time.Minute)
		r.balanced(n, 0, 0)
		got := r.seqs("")
		slices.Sort(got)
		if diff := cmp.Diff(upTo(n), slices.Compact(got)); diff != "" {
			t.Error(diff)
		}
		if sink.Links() < 5 {
			t.Errorf("only %d links: the script was not followed", sink.Links())
		}
	})
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		refusal := errors.New("quota exceeded")
		sink := &bridgetest.Sink{Script: func(n int, _ bridge.Message) bridgetest.Outcome {
			times = append(times, time.Now())
			switch n {
			case 0, 1:
				return bridgetest.Outcome{Err: refusal}
			case 3:
				return bridgetest.Outcome{Err: bridge.Permanent(refusal)}
			}
			return bridgetest.Outcome{}
		}}
		r := start(t, sink, bridgetest.Format{Everything: "t"}, bridge.ForwardConfig{})
		defer r.stop()
		r.append("d", 1)
		r.after(10 * time.Second)
		r.balanced(1, 0, 0)
		if times[1].Sub(times[0]) != time.Second || times[2].Sub(times[1]) != 2*time.Second {
			t.Errorf("tried at %v", times)
		}
		r.append("d", 1) // refused for good
		r.after(0)
		r.append("d", 1)
		r.after(0)
		r.balanced(2, 0, 1)
	})
}

// unpackable is a format that cannot pack one device's batches.
type unpackable struct{ bridgetest.Format }

func (f unpackable) Pack(entries []bridge.Entry) (bridge.Message, int, error) {
	if entries[0].Device == "poison" {
		return bridge.Message{}, 1, errors.New("cannot be packed")
	}
	return f.Format.Pack(entries)
}

func TestUnpackableIsBuried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, &bridgetest.Sink{LinkLimits: bridge.Limits{Window: 1}}, unpackable{bridgetest.Format{}},
			bridge.ForwardConfig{})
		defer r.stop()
		r.append("poison", 3)
		r.append("d", 3)
		r.after(time.Second)
		r.balanced(3, 0, 3)
		for range 30 { // however many, the log has a word now and then
			r.append("poison", 100)
			r.after(time.Second)
		}
		r.balanced(3, 0, 3003)
		log := r.log.String()
		if n := strings.Count(log, "\n"); n != 4 || !strings.Contains(log, "others_since_last_line=999") {
			t.Errorf("%d lines in 31 s:\n%s", n, log)
		}
	})
}

func TestDrainSendsWithoutLingering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &bridgetest.Sink{Script: func(int, bridge.Message) bridgetest.Outcome {
			return bridgetest.Outcome{After: 100 * time.Millisecond}
		}}
		r := start(t, sink, bridgetest.Format{}, bridge.ForwardConfig{Linger: time.Hour, LiveShare: 0.8})
		defer r.stop()
		r.append("d", 3)
		r.append("e", 1)
		r.after(time.Second)
		begin := time.Now()
		r.fwd.Drain(t.Context())
		if took := time.Since(begin); took != 100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		r.balanced(4, 0, 0)
	})
}

func TestDrainDoesNotWaitForADeadCloud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &bridgetest.Sink{Script: func(int, bridge.Message) bridgetest.Outcome {
			return bridgetest.Outcome{Lose: true}
		}}
		r := start(t, sink, bridgetest.Format{}, bridge.ForwardConfig{})
		r.append("d", 1)
		r.after(0)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begin := time.Now()
		r.fwd.Drain(ctx)
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
		r.stop()
		r.balanced(0, 1, 0)
	})
}

func TestDrainWithoutConnection(t *testing.T) {
	f := bridge.NewForwarder(bridgetest.NewQueue(), bridgetest.Format{}, bridge.ForwardConfig{},
		slog.New(slog.DiscardHandler))
	f.Drain(t.Context()) // returns
}

func TestClosedQueueEndsTheLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, &bridgetest.Sink{}, bridgetest.Format{}, bridge.ForwardConfig{LiveShare: 0.8})
		if err := r.queue.Close(); err != nil {
			t.Fatal(err)
		}
		r.after(time.Minute) // would spin for ever
		r.stop()
	})
}
