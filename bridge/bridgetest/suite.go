package bridgetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
)

// DurableQueue is a queue that the conformance suite can test.
type DurableQueue interface {
	bridge.Queue
	Run() string
	Commit(ctx context.Context) error
	Close() error
}

// Harness opens queues for the suite. They must not commit by themselves within
// the time of a test, but for batches with safe.
type Harness struct {
	// Open opens an empty queue. It is closed by the suite, or abandoned.
	Open func(t *testing.T) DurableQueue
	// Restart returns the queue as the next start finds it: after Close if crash
	// is false, else as after a kill right now.
	Restart func(t *testing.T, q DurableQueue, crash bool) DurableQueue
}

// TestQueue is the conformance suite that every [bridge.Queue] must pass.
func TestQueue(t *testing.T, h Harness) {
	for name, test := range map[string]func(*testing.T, Harness){
		"numbers batches from 1":           testNumbers,
		"hands out the oldest first":       testOrder,
		"waits for batches":                testWaits,
		"acknowledges, releases, buries":   testOutcomes,
		"passes over what is skipped":      testSkip,
		"ignores what is not claimed":      testUnclaimed,
		"names what it buries":             testNamesDead,
		"divides the lanes at Online":      testLanes,
		"takes claims back at Offline":     testOffline,
		"says when a batch is safe":        testSafe,
		"refuses after Close":              testClosed,
		"keeps every value":                testValues,
		"keeps what waits over a restart":  func(t *testing.T, h Harness) { testRestart(t, h, false) },
		"keeps what was committed, killed": func(t *testing.T, h Harness) { testRestart(t, h, true) },
		"is safe for concurrent use":       testConcurrent,
	} {
		t.Run(name, func(t *testing.T) { test(t, h) })
	}
}

func open(t *testing.T, h Harness) DurableQueue {
	q := h.Open(t)
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// batch returns a batch of n readings that can be told from others.
func batch(device string, i, n int) bridge.Batch {
	b := bridge.Batch{Device: device, At: time.UnixMilli(1763887500000 + int64(i)*1000),
		Readings: make([]bridge.Reading, n)}
	for j := range b.Readings {
		b.Readings[j] = bridge.Reading{Point: "p" + string(rune('a'+j%26)), Value: bridge.Int(int64(i*1000 + j))}
	}
	return b
}

func fill(q bridge.Queue, from, to int) {
	for i := from; i < to; i++ {
		q.Append(batch("dev", i, 2), nil)
	}
}

// claim takes what can be had at once.
func claim(t *testing.T, q bridge.Queue, lane bridge.Lane, max int) []bridge.Entry {
	t.Helper()
	entries, err := q.Next(ended, lane, max)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if len(entries) > max {
		t.Fatalf("Next(%d) returned %d entries", max, len(entries))
	}
	return entries
}

var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func positions(entries []bridge.Entry) []bridge.Position {
	p := make([]bridge.Position, len(entries))
	for i := range entries {
		p[i] = entries[i].Position
	}
	return p
}

func seqs(entries []bridge.Entry) []uint64 {
	s := make([]uint64, len(entries))
	for i := range entries {
		s[i] = entries[i].Seq
	}
	return s
}

func wantSeqs(t *testing.T, entries []bridge.Entry, want ...uint64) {
	t.Helper()
	if d := cmp.Diff(append([]uint64{}, want...), seqs(entries)); d != "" {
		t.Fatalf("seqs (-want +got):\n%s", d)
	}
}

// wantLedger checks batch counts; readings are two a batch.
func wantLedger(t *testing.T, q bridge.Queue, want bridge.Ledger) {
	t.Helper()
	for _, c := range []*bridge.Count{&want.Accepted, &want.Restored, &want.Acked, &want.Dropped, &want.Dead,
		&want.Damaged, &want.Waiting} {
		c.Readings = 2 * c.Batches
	}
	if d := cmp.Diff(want, q.Ledger()); d != "" {
		t.Fatalf("ledger (-want +got):\n%s", d)
	}
}

func n(batches uint64) bridge.Count { return bridge.Count{Batches: batches} }

func testNumbers(t *testing.T, h Harness) {
	q := open(t, h)
	q.Online()
	fill(q, 0, 3)
	entries := claim(t, q, bridge.Fresh, 10)
	wantSeqs(t, entries, 1, 2, 3)
	for i := range entries {
		if entries[i].Run != q.Run() || entries[i].Position != entries[0].Position+bridge.Position(i) {
			t.Errorf("entry %d: run %q, position %d", i, entries[i].Run, entries[i].Position)
		}
	}
	if q.Run() == "" {
		t.Error("the run has no name")
	}
}

func testOrder(t *testing.T, h Harness) {
	q := open(t, h)
	q.Online()
	fill(q, 0, 6)
	wantSeqs(t, claim(t, q, bridge.Fresh, 2), 1, 2)
	next := claim(t, q, bridge.Fresh, 3)
	wantSeqs(t, next, 3, 4, 5)
	q.Release(next[2].Position, next[0].Position)
	wantSeqs(t, claim(t, q, bridge.Fresh, 10), 3, 5, 6)
	wantSeqs(t, claim(t, q, bridge.Fresh, 10))
}

func testWaits(t *testing.T, h Harness) {
	q := open(t, h)
	q.Online()
	got := make(chan []bridge.Entry)
	go func() {
		e, _ := q.Next(context.Background(), bridge.Fresh, 5)
		got <- e
	}()
	fill(q, 0, 1)
	wantSeqs(t, <-got, 1)

	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		e, err := q.Next(ctx, bridge.Backlog, 5)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Next after its context ended: %v", err)
		}
		got <- e
	}()
	cancel()
	wantSeqs(t, <-got)

	// Released batches wake a waiting Next, too.
	go func() {
		e, _ := q.Next(context.Background(), bridge.Fresh, 5)
		got <- e
	}()
	q.Release(1)
	wantSeqs(t, <-got, 1)
}

func testOutcomes(t *testing.T, h Harness) {
	q := open(t, h)
	q.Online()
	fill(q, 0, 5)
	wantLedger(t, q, bridge.Ledger{Accepted: n(5), Waiting: n(5)})
	e := claim(t, q, bridge.Fresh, 4)
	wantLedger(t, q, bridge.Ledger{Accepted: n(5), Waiting: n(5)})
	q.Ack(e[0].Position, e[2].Position)
	wantLedger(t, q, bridge.Ledger{Accepted: n(5), Acked: n(2), Waiting: n(3)})
	q.Bury("too large", e[1].Position)
	wantLedger(t, q, bridge.Ledger{Accepted: n(5), Acked: n(2), Dead: n(1), Waiting: n(2)})
	q.Release(e[3].Position)
	e = claim(t, q, bridge.Fresh, 4)
	wantSeqs(t, e, 4, 5)
	q.Ack(positions(e)...)
	wantLedger(t, q, bridge.Ledger{Accepted: n(5), Acked: n(4), Dead: n(1)})
}

func testSkip(t *testing.T, h Harness) {
	q := open(t, h)
	fill(q, 0, 8)
	for _, lane := range []bridge.Lane{bridge.Backlog, bridge.Fresh} {
		if lane == bridge.Backlog {
			q.Online()
		} else {
			fill(q, 8, 16)
			if err := q.Commit(t.Context()); err != nil { // now from the disk
				t.Fatal(err)
			}
		}
		all := claim(t, q, lane, 6)
		first := all[0].Seq
		q.Skip(positions(all[1:4])...) // 2, 3, 4
		wantSeqs(t, claim(t, q, lane, 10), first+6, first+7)
		q.Release(all[4].Position) // a later one brings none of them back
		wantSeqs(t, claim(t, q, lane, 10), first+4)
		q.Ack(all[2].Position) // not ours any more
		q.Release(all[0].Position)
		wantSeqs(t, claim(t, q, lane, 2), first, first+1)
		wantSeqs(t, claim(t, q, lane, 10), first+2, first+3)
		q.Skip(all[3].Position)
		wantSeqs(t, claim(t, q, lane, 10))
	}
	wantLedger(t, q, bridge.Ledger{Accepted: n(16), Waiting: n(16)})
	q.Offline()
	q.Online() // all is to be had again
	if got := claim(t, q, bridge.Backlog, 100); len(got) != 16 {
		t.Errorf("%d after the next Online", len(got))
	}
}

// testNamesDead: the cloud is told where a batch is that it refused for good,
// whether that was in memory or on disk.
func testNamesDead(t *testing.T, h Harness) {
	q := open(t, h)
	notices, ok := q.(bridge.Notices)
	if !ok {
		t.Skip("it has no notices")
	}
	q.Online()
	fill(q, 0, 3)
	if err := q.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	fill(q, 3, 8)
	e := claim(t, q, bridge.Fresh, 8)
	<-notices.Noticed() // the run record
	q.Bury("no", e[1].Position, e[2].Position, e[3].Position, e[4].Position)
	q.Bury("no", e[1].Position)
	select {
	case <-notices.Noticed():
	case <-time.After(10 * time.Second):
		t.Fatal("nothing is noticed")
	}
	stones := notices.Tombstones()
	if len(stones) != 1 {
		t.Fatalf("tombstones: %+v", stones)
	}
	count := bridge.Count{Batches: 4, Readings: 8}
	if s := stones[0]; s.Run != q.Run() || s.First != 2 || s.Last != 5 || s.Cause != "dead" || s.Count != count {
		t.Errorf("tombstone: %+v", s)
	}
}

func testUnclaimed(t *testing.T, h Harness) {
	q := open(t, h)
	q.Online()
	fill(q, 0, 3)
	e := claim(t, q, bridge.Fresh, 2)
	q.Ack(e[0].Position)
	q.Ack(e[0].Position)
	q.Release(e[0].Position)
	q.Bury("", e[0].Position)
	q.Ack(e[1].Position+1, e[1].Position+2, 0, 1<<40)
	q.Release(e[1].Position + 1)
	q.Bury("", e[1].Position+1)
	wantLedger(t, q, bridge.Ledger{Accepted: n(3), Acked: n(1), Waiting: n(2)})
	wantSeqs(t, claim(t, q, bridge.Fresh, 5), 3)
}

func testLanes(t *testing.T, h Harness) {
	q := open(t, h)
	fill(q, 0, 3)
	q.Online()
	fill(q, 3, 5)
	for _, lane := range []bridge.Lane{bridge.Fresh, bridge.Backlog} {
		e := claim(t, q, lane, 10)
		if lane == bridge.Fresh {
			wantSeqs(t, e, 4, 5)
			q.Release(positions(e)...)
		} else {
			wantSeqs(t, e, 1, 2, 3)
			q.Ack(e[1].Position)
		}
		for i := range e {
			if e[i].Backlog != (lane == bridge.Backlog) {
				t.Errorf("seq %d of lane %v: Backlog is %v", e[i].Seq, lane, e[i].Backlog)
			}
		}
	}
	q.Offline()
	fill(q, 5, 6)
	q.Online()
	wantSeqs(t, claim(t, q, bridge.Fresh, 10))
	wantSeqs(t, claim(t, q, bridge.Backlog, 10), 1, 3, 4, 5, 6)
}

func testOffline(t *testing.T, h Harness) {
	q := open(t, h)
	q.Online()
	fill(q, 0, 3)
	e := claim(t, q, bridge.Fresh, 2)
	q.Offline()
	q.Ack(e[0].Position) // nobody holds it any more
	wantLedger(t, q, bridge.Ledger{Accepted: n(3), Waiting: n(3)})
	q.Online()
	wantSeqs(t, claim(t, q, bridge.Backlog, 10), 1, 2, 3)
}

// safes counts what safe was called with.
type safes struct {
	mu    sync.Mutex
	calls []error
	ch    chan struct{}
}

func newSafes() *safes { return &safes{ch: make(chan struct{}, 100)} }

func (s *safes) call(err error) {
	s.mu.Lock()
	s.calls = append(s.calls, err)
	s.mu.Unlock()
	s.ch <- struct{}{}
}

func (s *safes) want(t *testing.T, what string, want ...error) {
	t.Helper()
	for range want {
		select {
		case <-s.ch:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: safe was not called", what)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) != len(want) {
		t.Fatalf("%s: safe was called with %v, want %v", what, s.calls, want)
	}
	for i := range want {
		if !errors.Is(s.calls[i], want[i]) || want[i] == nil && s.calls[i] != nil {
			t.Fatalf("%s: safe was called with %v, want %v", what, s.calls, want)
		}
	}
	s.calls = nil
}

func testSafe(t *testing.T, h Harness) {
	q := open(t, h)
	q.Online()
	acked, committed, buried := newSafes(), newSafes(), newSafes()
	q.Append(batch("a", 0, 2), acked.call)
	e := claim(t, q, bridge.Fresh, 1)
	if !e[0].Waiting {
		t.Error("an entry with a waiting sensor does not say so")
	}
	q.Ack(e[0].Position)
	acked.want(t, "acknowledged", nil)
	q.Append(batch("a", 1, 2), buried.call)
	q.Bury("no", claim(t, q, bridge.Fresh, 1)[0].Position)
	q.Append(batch("a", 2, 2), committed.call)
	if err := q.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	buried.want(t, "buried", nil)
	committed.want(t, "committed", nil)
	q.Ack(positions(claim(t, q, bridge.Fresh, 1))...)
	if err := q.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	acked.want(t, "a second time")
	buried.want(t, "a second time")
	committed.want(t, "a second time")
}

func testClosed(t *testing.T, h Harness) {
	q := open(t, h)
	q.Online()
	safe, refused := newSafes(), newSafes()
	q.Append(batch("a", 0, 2), safe.call)
	woken := make(chan error)
	go func() {
		_, err := q.Next(context.Background(), bridge.Backlog, 5)
		woken <- err
	}()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	safe.want(t, "closed", nil)
	if err := <-woken; !errors.Is(err, bridge.ErrClosed) {
		t.Errorf("a waiting Next got %v", err)
	}
	q.Append(batch("a", 1, 2), refused.call)
	refused.want(t, "appended after Close", bridge.ErrClosed)
	q.Append(batch("a", 1, 2), nil)
	if _, err := q.Next(context.Background(), bridge.Fresh, 5); !errors.Is(err, bridge.ErrClosed) {
		t.Errorf("Next after Close: %v", err)
	}
	wantLedger(t, q, bridge.Ledger{Accepted: n(1), Waiting: n(1)})
}
