package bridge_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/bridge/bridgetest"
)

// TestGroup adds batches of some devices and packs messages in any order: each
// batch comes once, each device's in order, and the oldest of all first.
func TestGroup(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		random := rand.New(rand.NewPCG(7, 8))
		g := bridge.NewGroup(bridgetest.Format{Everything: "t", MaxRoom: 1000, Gather: true}, ordered)
		start := time.Now()
		var next, packed bridge.Position
		oldest := bridge.Position(1)
		last := make(map[string]bridge.Position)
		done := make(map[bridge.Position]bool)
		size := 0
		for range 2000 {
			for range random.IntN(20) {
				next++
				e := bridge.Entry{Position: next, Seq: uint64(next), Run: "r", Batch: bridge.Batch{
					Device: fmt.Sprint("d", random.IntN(5)), Readings: []bridge.Reading{good("a", 1)}}}
				size += g.Add(&e, start.Add(time.Duration(next)))
			}
			if g.Len() == 0 {
				continue
			}
			if want := start.Add(time.Duration(oldest)); !g.Due().Equal(want) {
				t.Fatalf("due %v, want %v", g.Due().Sub(start), want.Sub(start))
			}
			_, entries, err := g.Pack()
			if err != nil || len(entries) == 0 || entries[0].Position != oldest {
				t.Fatalf("%d batches from %v, want %v (%v)", len(entries), entries[0].Position, oldest, err)
			}
			for i := range entries {
				e := &entries[i]
				if done[e.Position] || e.Position < last[e.Device] || ordered && e.Position != packed+1 {
					t.Fatalf("position %d of %s after %d", e.Position, e.Device, last[e.Device])
				}
				packed++
				done[e.Position], last[e.Device] = true, e.Position
			}
			size -= g.Drop(len(entries))
			for done[oldest] {
				oldest++
			}
			if g.Len() != int(next)-len(done) {
				t.Fatalf("%d wait, want %d", g.Len(), int(next)-len(done))
			}
		}
		for g.Len() > 0 {
			_, entries, _ := g.Pack()
			packed += bridge.Position(len(entries))
			size -= g.Drop(len(entries))
		}
		if size != 0 || packed != next || next < 10000 {
			t.Errorf("%d bytes are left, %d of %d batches were packed", size, packed, next)
		}
	}
}

// TestGatheredDevicesKeepTheirOrder drains a backlog of one topic: messages hold
// few devices, and none is out of order.
func TestGatheredDevicesKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const devices, cycles = 10, 50
		backlog := func(q *bridgetest.Queue) {
			for i := range devices * cycles {
				q.Append(bridge.Batch{Device: fmt.Sprint("d", i%devices), Readings: []bridge.Reading{good("a", 1)}}, nil)
			}
		}
		format := bridgetest.Format{Everything: "t", MaxRoom: 2000, Gather: true}
		r := start(t, &bridgetest.Sink{}, format, bridge.ForwardConfig{LiveShare: 0.8}, backlog)
		defer r.stop()
		r.after(time.Minute)
		r.balanced(devices*cycles, 0, 0)
		for d := range devices {
			if got := r.seqs(fmt.Sprint("d", d)); !slices.IsSorted(got) || len(got) != cycles {
				t.Errorf("device %d: %v", d, got)
			}
		}
		changes := 0
		all := r.deliveries()
		for i := range all[1:] {
			if all[i].Device != all[i+1].Device {
				changes++
			}
		}
		if changes > devices*cycles/5 {
			t.Errorf("the device changes %d times in %d batches", changes, len(all))
		}
	})
}

// measured is a format that counts how often it measures.
type measured struct {
	bridgetest.Format
	times *int
}

func (m measured) Fit(b *bridge.Batch) (n, size int) {
	*m.times++
	return m.Format.Fit(b)
}

// A batch is measured when it is taken in; only what comes from the disk is
// measured once more on its way out.
func TestABatchIsMeasuredOnce(t *testing.T) {
	times := 0
	format := measured{bridgetest.Format{Everything: "t", MaxRoom: 1000}, &times}
	q := bridgetest.NewQueue()
	c := bridge.NewCollector(q, format, nil, always(true), slog.New(slog.DiscardHandler))
	g := bridge.NewGroup(format, false)
	for i := range 3 {
		c.Emit(bridge.Batch{Device: "d", Readings: []bridge.Reading{good("a", int64(i))}}, nil)
	}
	entries, err := q.Next(t.Context(), bridge.Fresh, 10)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%d batches, %v", len(entries), err)
	}
	for i := range entries {
		if size := g.Add(&entries[i], time.Now()); size == 0 {
			t.Error("a batch takes nothing")
		}
	}
	if times != 3 {
		t.Errorf("3 batches are measured %d times", times)
	}
	want := entries[0].Size
	entries[0].Size = 0
	if size := g.Add(&entries[0], time.Now()); size != int(want) || times != 4 {
		t.Errorf("%d bytes, measured %d times; want %d and 4", size, times, want)
	}
}

// TestGroupUsesItsMemoryAgain: message after message of a few batches costs no memory but
// that of the message. Here nothing is packed.
func TestGroupUsesItsMemoryAgain(t *testing.T) {
	for _, gather := range []bool{false, true} {
		g := bridge.NewGroup(bridgetest.Format{Everything: "t", MaxRoom: 1 << 20, Gather: gather}, false)
		e := bridge.Entry{Batch: bridge.Batch{Device: "d", Size: 10, Readings: []bridge.Reading{good("a", 1)}}}
		now := time.Now()
		if n := testing.AllocsPerRun(50, func() {
			for range 30 {
				e.Position++
				g.Add(&e, now)
			}
			g.Drop(30)
		}); n > 0 {
			t.Errorf("gathered %v: %v allocations", gather, n)
		}
	}
}
