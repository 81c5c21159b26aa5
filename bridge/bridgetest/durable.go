package bridgetest

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
)

// compareValues lets cmp compare values and times.
var compareValues = cmp.Options{
	cmp.Comparer(func(a, b bridge.Value) bool { return a == b }),
	cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
}

// allValues has every kind of value and every reason, with the extremes.
func allValues() []bridge.Value {
	values := []bridge.Value{
		bridge.Bool(true), bridge.Bool(false),
		bridge.Int(0), bridge.Int(-1), bridge.Int(math.MaxInt64), bridge.Int(math.MinInt64),
		bridge.Uint(0), bridge.Uint(math.MaxUint64), bridge.Uint(1 << 53),
		bridge.Float32(0), bridge.Float32(float32(math.Copysign(0, -1))), bridge.Float32(71.5), bridge.Float32(21.3),
		bridge.Float32(math.MaxFloat32), bridge.Float32(math.SmallestNonzeroFloat32),
		bridge.Float64(0), bridge.Float64(math.Copysign(0, -1)), bridge.Float64(21.3), bridge.Float64(math.Pi),
		bridge.Float64(math.MaxFloat64), bridge.Float64(-math.SmallestNonzeroFloat64), bridge.Float64(1e15 + 0.1),
		bridge.String(""), bridge.String("°C and \x00"), bridge.String(strings.Repeat("long ", 1000)),
	}
	for r := range bridge.Reasons {
		values = append(values, bridge.Bad(r))
	}
	return values
}

func testValues(t *testing.T, h Harness) {
	q := open(t, h)
	values := allValues()
	var want []bridge.Batch
	for i := range 2 * len(values) {
		b := bridge.Batch{Device: "dev" + string(rune('a'+i%3)), At: time.UnixMilli(1763887500123 + int64(i)),
			Unsynced: i%7 == 0}
		if i == 5 {
			b.At = time.UnixMilli(-5) // a clock that is wrong
		}
		for j := range 1 + i%4 {
			b.Readings = append(b.Readings, bridge.Reading{Point: "p" + string(rune('a'+j)), Value: values[(i+j*j)%len(values)]})
		}
		want = append(want, b)
		q.Append(b, nil)
	}
	// Half of what is read back was in memory all the time, half on disk.
	if err := q.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	q.Online()
	var got []bridge.Batch
	for {
		entries := claim(t, q, bridge.Backlog, 7)
		if len(entries) == 0 {
			break
		}
		for i := range entries {
			got = append(got, entries[i].Batch)
		}
	}
	if d := cmp.Diff(want, got, compareValues); d != "" {
		t.Errorf("batches (-want +got):\n%s", d)
	}
}

func testRestart(t *testing.T, h Harness, crash bool) {
	q := open(t, h)
	q.Online()
	fill(q, 0, 10)
	e := claim(t, q, bridge.Fresh, 6)
	q.Ack(e[0].Position, e[1].Position, e[4].Position)
	q.Bury("never", e[5].Position)
	if err := q.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	q.Ack(e[2].Position)
	if err := q.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	first := q.Run()
	if !crash {
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
	q = h.Restart(t, q, crash)
	t.Cleanup(func() { _ = q.Close() })
	if q.Run() == first {
		t.Error("two runs have one name")
	}
	wantLedger(t, q, bridge.Ledger{Restored: n(6), Dead: n(1), Waiting: n(5)})
	fill(q, 20, 21)
	q.Online()
	got := claim(t, q, bridge.Backlog, 100)
	wantSeqs(t, got, 4, 7, 8, 9, 10, 1)
	for i := range got {
		want := batch("dev", int(got[i].Seq)-1, 2)
		run := first
		if i == 5 {
			want, run = batch("dev", 20, 2), q.Run()
		}
		if d := cmp.Diff(want, got[i].Batch, compareValues); d != "" || got[i].Run != run {
			t.Errorf("run %q seq %d (-want +got):\n%s", got[i].Run, got[i].Seq, d)
		}
		if i > 0 && got[i].Position <= got[i-1].Position {
			t.Errorf("position %d comes after %d", got[i].Position, got[i-1].Position)
		}
	}
	testRunRecords(t, q, first)
	q.Ack(positions(got)...)
	wantLedger(t, q, bridge.Ledger{Accepted: n(1), Restored: n(6), Acked: n(6), Dead: n(1)})
}

func testRunRecords(t *testing.T, q bridge.Queue, first string) {
	t.Helper()
	notices, ok := q.(bridge.Notices)
	if !ok {
		return
	}
	runs := notices.Runs()
	if len(runs) != 2 || runs[0].Run != first || runs[1].Previous != first || runs[1].PreviousLast != 10 {
		t.Errorf("run records: %+v", runs)
		return
	}
	notices.AckRuns(first)
	if runs = notices.Runs(); len(runs) != 1 || runs[0].Previous != first {
		t.Errorf("run records after one was acknowledged: %+v", runs)
	}
}

// testConcurrent lets several goroutines append while others claim and release
// or acknowledge at random, across connections and commits.
func testConcurrent(t *testing.T, h Harness) {
	const appenders, each = 4, 500
	q := open(t, h)
	q.Online()
	var wg, workers sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for a := range appenders {
		wg.Go(func() {
			for i := range each {
				var safe func(error)
				if i%10 == 0 {
					safe = func(error) {}
				}
				q.Append(batch("dev"+string(rune('a'+a)), i, 2), safe)
			}
		})
	}
	var mu sync.Mutex
	acked := make(map[uint64]int)
	for w := range 4 {
		workers.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			for {
				entries, err := q.Next(ctx, bridge.Lane(w%2), 1+rnd.IntN(20))
				if err != nil {
					return
				}
				for i := range entries {
					if rnd.IntN(3) == 0 {
						q.Release(entries[i].Position)
						continue
					}
					mu.Lock()
					acked[entries[i].Seq]++
					mu.Unlock()
					q.Ack(entries[i].Position)
				}
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			if err := q.Commit(ctx); err != nil {
				t.Error(err)
			}
			if l := q.Ledger(); !l.Balanced() {
				t.Errorf("the ledger does not add up: %+v", l)
			}
		}
	})
	wg.Wait()
	for q.Ledger().Acked.Batches < appenders*each {
		if err := q.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	workers.Wait()
	wantLedger(t, q, bridge.Ledger{Accepted: n(appenders * each), Acked: n(appenders * each)})
	for seq := range uint64(appenders * each) {
		if acked[seq+1] != 1 {
			t.Errorf("seq %d was acknowledged %d times", seq+1, acked[seq+1])
		}
	}
}
