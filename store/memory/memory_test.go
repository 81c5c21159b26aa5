package memory

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/books"
)

func batchOf(readings int) *bridge.Batch {
	return &bridge.Batch{Device: "d", At: time.UnixMilli(1), Readings: make([]bridge.Reading, readings)}
}

func positions(entries []bridge.Entry) (out []bridge.Position) {
	for i := range entries {
		out = append(out, entries[i].Position)
	}
	return out
}

func wantPositions(t *testing.T, entries []bridge.Entry, want ...bridge.Position) {
	t.Helper()
	if got := positions(entries); !slices.Equal(got, want) {
		t.Errorf("positions %v, want %v", got, want)
	}
}

func TestLanes(t *testing.T) {
	m := New("r", 10)
	var done books.Spans
	done.Add(0, 11)
	for i := range 6 {
		m.Push(batchOf(i+1), nil, int64(i), 0)
	}
	m.Rewind(14) // 11, 12 and 13 are backlog
	fresh, _ := m.Claim(bridge.Fresh, 2, m.End(), done)
	wantPositions(t, fresh, 14, 15)
	if fresh[0].Seq != 4 || fresh[0].Run != "r" || fresh[0].Backlog {
		t.Errorf("%+v", fresh[0])
	}
	old, missing := m.Claim(bridge.Backlog, 10, 14, done)
	wantPositions(t, old, 11, 12, 13)
	if !old[0].Backlog || missing != 0 {
		t.Errorf("%+v, missing %d", old[0], missing)
	}
	// 12 goes back and comes again; 13 is passed over until something before it
	// comes back.
	if !m.Unclaim(13) || !m.Unclaim(12) || m.Unclaim(12) || m.Unclaim(99) {
		t.Error("what is claimed is not known")
	}
	m.Back(bridge.Backlog, 12)
	old, _ = m.Claim(bridge.Backlog, 1, 14, done)
	wantPositions(t, old, 12)
	old, _ = m.Claim(bridge.Backlog, 10, 14, done)
	wantPositions(t, old, 13)
	m.UnclaimAll()
	m.Rewind(m.End())
	old, _ = m.Claim(bridge.Backlog, 10, m.End(), done)
	wantPositions(t, old, 11, 12, 13, 14, 15, 16)
}

// What is on disk is handed out from the block that is loaded, which need not have
// all positions.
func TestLanesFromABlock(t *testing.T) {
	m := New("r", 20)
	done := books.Spans{{From: 0, To: 11}, {From: 13, To: 14}}
	entries, missing := m.Claim(bridge.Backlog, 10, m.End(), done)
	if len(entries) > 0 || missing != 11 {
		t.Fatalf("%d batches, %d is missing", len(entries), missing)
	}
	block := []bridge.Entry{{Position: 11}, {Position: 13}, {Position: 15}}
	m.Load(bridge.Backlog, 11, 21, block)
	entries, missing = m.Claim(bridge.Backlog, 10, m.End(), done)
	wantPositions(t, entries, 11, 15)
	if missing != 0 || !m.Claimed(15) || !m.ClaimedWithin(12, 15) || m.ClaimedWithin(12, 14) {
		t.Errorf("%d is missing, claimed %v", missing, m.claims)
	}
	if _, _, ok := m.Settle(15); !ok || m.Claimed(15) {
		t.Error("15 was not settled")
	}
	done.Add(11, 12)
	if m.Lose(done); m.Claimed(11) {
		t.Error("the claim of what is done stays")
	}
}

func TestWhoWaits(t *testing.T) {
	m := New("r", 0)
	var told []int
	for i := range 4 {
		var safe func(error)
		if i%2 == 1 {
			safe = func(error) { told = append(told, i) }
		}
		m.Push(batchOf(10), safe, int64(100*i), 0)
	}
	if m.Waiters() != 2 || m.Oldest() != 0 || m.OldestWaiter() != 100 {
		t.Errorf("%d wait, the oldest since %d, a waiter since %d", m.Waiters(), m.Oldest(), m.OldestWaiter())
	}
	m.Claim(bridge.Fresh, 2, m.End(), nil)
	batches := m.Collect(nil, 0, m.End(), 2, 1000)
	if len(batches) != 2 || batches[1].Position != 2 {
		t.Errorf("collected %+v", batches)
	}
	if got := m.Collect(nil, 2, m.End(), 10, 11); len(got) != 2 {
		t.Errorf("%d batches have 11 readings or one batch more", len(got))
	}
	safe, ok := m.Commit(2)
	if !ok || safe == nil || !m.Claimed(2) || m.Waiters() != 1 {
		t.Error("a batch that was claimed is claimed on disk")
	}
	g := m.Give(4) // 1 is claimed
	if g.Count != (bridge.Count{Batches: 1, Readings: 10}) || len(g.Safes) != 0 || !g.Gaps.Has(3) {
		t.Errorf("given %+v", g)
	}
	if g = m.Shed(0); g.Count.Batches != 1 || len(g.Safes) != 1 {
		t.Errorf("shed %+v", g)
	}
	if _, _, ok := m.Settle(1); !ok {
		t.Error("1 is claimed")
	}
	if m.Trim(); m.Base() != 5 || m.Pending() != (bridge.Count{}) || m.Waiters() != 0 || len(m.Safes()) > 0 {
		t.Errorf("%+v is left from %d on, %d wait", m.Pending(), m.Base(), m.Waiters())
	}
	if m.Pass(); m.Base() != 6 || m.End() != 6 {
		t.Errorf("from %d to %d", m.Base(), m.End())
	}
}

// TestEveryBatchOnce does what a queue does at random, and expects each batch to
// come out once: settled, given up or on disk.
func TestEveryBatchOnce(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		m := New("r", 5)
		var done books.Spans
		done.Add(0, 6)
		out := make(map[bridge.Position]int)
		pushed, held := 0, []bridge.Position(nil)
		var numbered []block.Numbered
		for range 2000 {
			switch rnd.IntN(6) {
			case 0, 1:
				m.Push(batchOf(rnd.IntN(4)), nil, int64(pushed), 0)
				pushed++
			case 2:
				limit := min(m.End(), m.Base()+64)
				entries, _ := m.Claim(bridge.Fresh, rnd.IntN(5), limit, done)
				held = append(held, positions(entries)...)
			case 3:
				if len(held) == 0 {
					continue
				}
				i := rnd.IntN(len(held))
				p := held[i]
				held = slices.Delete(held, i, i+1)
				if rnd.IntN(4) == 0 {
					m.Unclaim(p)
					if p < m.Base() { // it waits on disk, where nobody looks here
						out[p]++
						done.Add(p, p+1)
						continue
					}
					m.Back(bridge.Fresh, p)
					continue
				}
				if _, _, ok := m.Settle(p); !ok {
					t.Fatalf("seed %d: %d is held and not claimed", seed, p)
				}
				done.Add(p, p+1)
				out[p]++
			case 4:
				m.Trim()
			case 5:
				if rnd.IntN(20) > 0 {
					continue
				}
				numbered = m.Collect(numbered[:0], 0, m.End(), 10, 100)
				for i := range numbered {
					if _, ok := m.Commit(numbered[i].Position); !ok {
						t.Fatalf("seed %d: %d is not in memory", seed, numbered[i].Position)
					}
					if !m.Claimed(numbered[i].Position) {
						out[numbered[i].Position]++
						done.Add(numbered[i].Position, numbered[i].Position+1) // never loaded here
					}
				}
				m.Trim()
			}
		}
		g := m.Give(m.End())
		for p := bridge.Position(6); p < m.End(); p++ {
			if g.Gaps.Has(p) {
				out[p]++
			}
		}
		for _, p := range held {
			out[p]++
		}
		for p := bridge.Position(6); p < m.End(); p++ {
			if out[p] != 1 {
				t.Fatalf("seed %d: %d came out %d times", seed, p, out[p])
			}
		}
		if want := bridge.Position(6 + pushed); m.End() != want {
			t.Errorf("seed %d: ends at %d, want %d", seed, m.End(), want)
		}
	}
}
