package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/bridge/bridgetest"

	"github.com/google/go-cmp/cmp"
)

// denies refuses the topic of one device until it is told not to.
type denies struct {
	topic string
	until time.Time
	start time.Time
	mu    sync.Mutex      // both lanes publish
	tried []time.Duration // guarded by mu; since the start
}

func (d *denies) script(_ int, m bridge.Message) bridgetest.Outcome {
	if m.Topic != d.topic {
		return bridgetest.Outcome{}
	}
	d.mu.Lock()
	d.tried = append(d.tried, time.Since(d.start))
	d.mu.Unlock()
	if time.Now().Before(d.until) {
		return bridgetest.Outcome{Err: bridge.RefuseTopic(errors.New("not authorized"))}
	}
	return bridgetest.Outcome{}
}

func TestRefusedTopicWaitsAlone(t *testing.T) {
	for _, oldestFirst := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			format := bridgetest.Format{}
			d := &denies{topic: format.Topic(&bridge.Batch{Device: "closed"}), start: time.Now(),
				until: time.Now().Add(time.Minute)}
			r := start(t, &bridgetest.Sink{Script: d.script}, format, bridge.ForwardConfig{OldestFirst: oldestFirst})
			defer r.stop()
			r.append("closed", 3)
			for range 50 { // more than fills a message, of both
				r.append("closed", 5)
				r.append("open", 5)
				r.after(time.Second)
			}
			r.balanced(250, 253, 0)
			r.after(time.Minute)
			r.balanced(503, 0, 0)
			pauses := make([]time.Duration, 0, len(d.tried))
			for i := 1; i < len(d.tried) && len(pauses) < 4; i++ {
				if gap := d.tried[i] - d.tried[i-1]; gap > 0 { // several messages may go at once
					pauses = append(pauses, gap)
				}
			}
			want := []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second}
			if diff := cmp.Diff(want, pauses); diff != "" {
				t.Errorf("tried again after (-want +got):\n%s", diff)
			}
		})
	}
}

// heldQueue counts what the forwarder holds.
type heldQueue struct {
	*bridgetest.Queue
	mu         sync.Mutex
	held, peak int // guarded by mu
}

func (q *heldQueue) add(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held += n
	q.peak = max(q.peak, q.held)
}

func (q *heldQueue) Next(ctx context.Context, lane bridge.Lane, max int) ([]bridge.Entry, error) {
	entries, err := q.Queue.Next(ctx, lane, max)
	q.add(len(entries))
	return entries, err
}

func (q *heldQueue) Ack(p ...bridge.Position)     { q.add(-len(p)); q.Queue.Ack(p...) }
func (q *heldQueue) Release(p ...bridge.Position) { q.add(-len(p)); q.Queue.Release(p...) }
func (q *heldQueue) Skip(p ...bridge.Position)    { q.add(-len(p)); q.Queue.Skip(p...) }

// TestRefusedTopicBlocksNobody has much more of a refused topic than a lane
// holds, before and between the batches of others, live and as a backlog.
func TestRefusedTopicBlocksNobody(t *testing.T) {
	for _, oldestFirst := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const refused, others = 6_000, 500
			long := []bridge.Reading{{Point: "text", Value: bridge.String(strings.Repeat("x", 2000))}}
			queue := &heldQueue{Queue: bridgetest.NewQueue()}
			closed := func(n int) { // 2 KB each: 4 MiB are 2,000
				for range n {
					queue.Append(bridge.Batch{Device: "closed", At: time.Now(), Readings: long}, nil)
				}
			}
			open := func(n int) {
				for i := range n {
					queue.Append(bridge.Batch{Device: fmt.Sprint("open-", i%5), At: time.Now(),
						Readings: []bridge.Reading{good("a", 1)}}, nil)
				}
			}
			closed(refused / 4)
			open(others / 4)
			closed(refused / 4)
			open(others / 4)
			format := bridgetest.Format{}
			d := &denies{topic: format.Topic(&bridge.Batch{Device: "closed"}), start: time.Now(),
				until: time.Now().Add(time.Hour)}
			sink := &bridgetest.Sink{Script: d.script, LinkLimits: bridge.Limits{Window: 20}}
			fwd := bridge.NewForwarder(queue, format, bridge.ForwardConfig{OldestFirst: oldestFirst, LiveShare: 0.8,
				Linger: time.Second}, slog.New(slog.DiscardHandler))
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { defer close(ended); sink.Run(ctx, fwd.Serve) }()
			time.Sleep(10 * time.Second)
			closed(refused / 4)
			open(others / 4)
			closed(refused / 4)
			open(others / 4)
			time.Sleep(30 * time.Second)
			synctest.Wait()
			if l := queue.Ledger(); l.Acked.Batches != others || l.Waiting.Batches != refused {
				t.Errorf("oldest first %v: %d batches arrived, %d wait, want %d and %d", oldestFirst, l.Acked.Batches,
					l.Waiting.Batches, others, refused)
			}
			time.Sleep(59 * time.Minute) // the last pause is 15 minutes
			synctest.Wait()
			queue.mu.Lock()
			if queue.held > 100 || queue.peak > 2000 {
				t.Errorf("oldest first %v: %d batches are held, %d were", oldestFirst, queue.held, queue.peak)
			}
			queue.mu.Unlock()
			d.mu.Lock()
			if n := len(d.tried); n > 60 {
				t.Errorf("tried %d times in an hour", n)
			}
			d.mu.Unlock()
			time.Sleep(time.Hour)
			synctest.Wait()
			if l := queue.Ledger(); l.Acked.Batches != others+refused || !l.Balanced() {
				t.Errorf("oldest first %v, at the end: %+v", oldestFirst, l)
			}
			all, err := bridgetest.Deliveries(sink.Taken())
			if err != nil {
				t.Fatal(err)
			}
			last := map[string]uint64{}
			for _, d := range all {
				key := fmt.Sprint(d.Device, d.Backlog)
				if d.Seq <= last[key] {
					t.Fatalf("%s: %d after %d", key, d.Seq, last[key])
				}
				last[key] = d.Seq
			}
			cancel()
			<-ended
		})
	}
}

func TestDrainDoesNotWaitForARefusedTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		format := bridgetest.Format{}
		d := &denies{topic: format.Topic(&bridge.Batch{Device: "closed"}), start: time.Now(),
			until: time.Now().Add(time.Hour)}
		r := start(t, &bridgetest.Sink{Script: d.script}, format, bridge.ForwardConfig{Linger: time.Minute})
		defer r.stop()
		r.append("closed", 3)
		r.after(2 * time.Minute)
		r.append("open", 3)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r.fwd.Drain(ctx)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the drain took %v", took)
		}
		r.balanced(3, 3, 0)
	})
}
