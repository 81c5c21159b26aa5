package books

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"fieldbridge/bridge"
)

func count(batches, readings uint64) bridge.Count {
	return bridge.Count{Batches: batches, Readings: readings}
}

// TestTheLedgerAddsUp does what may happen to batches at random: the account adds
// up after each, the backlog is part of what waits, and tombstones name all that is
// lost.
func TestTheLedgerAddsUp(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var b Books
		b.Index.Runs.Begin("before", 0, 0, 1)
		b.Index.Runs.Begin("now", 100, 60, 2)
		b.Done.Add(0, 1)
		readings := make(map[bridge.Position]uint64) // of those that wait
		for p := range bridge.Position(100) {
			readings[p+1] = uint64(p % 7)
			b.Find(count(1, readings[p+1]))
		}
		next := bridge.Position(101)
		b.SetMark(next)
		pick := func() (bridge.Position, bridge.Count) {
			if len(readings) == 0 {
				return 0, bridge.Count{}
			}
			p := slices.Sorted(maps.Keys(readings))[rnd.IntN(len(readings))]
			n := count(1, readings[p])
			delete(readings, p)
			return p, n
		}
		var dead []Letter
		var lost bridge.Count // dropped or damaged while they waited
		for step := range 600 {
			switch op := rnd.IntN(12); op {
			case 0, 1, 2, 3:
				readings[next] = uint64(rnd.IntN(9))
				b.Accept(count(1, readings[next]))
				next++
			case 4, 5:
				if p, n := pick(); p != 0 {
					b.Ack(p, n)
				}
			case 6:
				if p, n := pick(); p != 0 {
					b.Bury(p, n, 7)
					r := b.Index.Runs.At(p)
					dead = append(dead, Letter{Run: r.Run, Seq: uint64(p - r.Base), Count: n, At: 7})
				}
			case 7, 8:
				var gaps Spans
				var sum bridge.Count
				for range rnd.IntN(20) {
					if p, n := pick(); p != 0 {
						gaps.Add(p, p+1)
						sum = sum.Add(n)
					}
				}
				if op == 7 {
					b.Drop(gaps, sum, DroppedFull, 1, 2)
				} else {
					b.Damage(gaps, sum, 1, 2)
				}
				lost = lost.Add(sum)
			case 9:
				b.SetMark(next)
			case 10:
				if len(dead) > 0 {
					b.DropDead(dead[0], Purged)
					dead = dead[1:]
				}
			case 11:
				if len(dead) > 0 {
					l := dead[0]
					dead = dead[1:]
					readings[next] = l.Count.Readings
					next++
					b.Retry(l)
				}
			}
			l := b.Ledger()
			if !l.Balanced() {
				t.Fatalf("seed %d step %d: %+v", seed, step, l)
			}
			waiting, backlog := bridge.Count{}, bridge.Count{}
			for p, n := range readings {
				waiting = waiting.Add(count(1, n))
				if b.Lane(p) == bridge.Backlog {
					backlog = backlog.Add(count(1, n))
				}
				if b.Done.Has(p) {
					t.Fatalf("seed %d step %d: %d waits and is done", seed, step, p)
				}
			}
			// Of gaps that lie apart the readings are shared out by their width, so
			// that only the batches of the backlog are exact.
			if l.Waiting != waiting || b.Backlog().Batches != backlog.Batches {
				t.Fatalf("seed %d step %d: %+v wait, %+v of it before the mark; want %+v, %+v", seed, step, l.Waiting,
					b.Backlog(), waiting, backlog)
			}
		}
		var named bridge.Count
		for _, s := range b.Tombstones() {
			if s.Cause == DroppedFull || s.Cause == Damaged {
				named = named.Add(s.Count)
			}
		}
		if named != lost {
			t.Errorf("seed %d: tombstones name %+v of %+v", seed, named, lost)
		}
	}
}

func TestTombstonesOfNeighbours(t *testing.T) {
	var b Books
	add := func(first, last uint64, cause string) {
		b.AddStone(Stone{Run: "r", First: first, Last: last, Count: count(last-first+1, 0), Cause: cause,
			Since: int64(first), Until: int64(last)})
	}
	add(5, 7, Damaged)
	if b.News() != NewsNow || b.News() != NoNews || !b.Changed() || b.Changed() {
		t.Error("a new tombstone is not news once")
	}
	add(8, 9, Damaged)
	add(3, 4, Damaged)
	if b.News() != NoNews || !b.Changed() {
		t.Error("a tombstone that grows is news, or no change")
	}
	add(12, 12, Damaged) // apart
	add(13, 13, Dead)
	b.News()
	got := b.Tombstones() // which freezes them
	if len(got) != 3 || got[0].First != 3 || got[0].Last != 9 || got[0].Count.Batches != 7 ||
		got[0].Since.UnixMilli() != 3 || got[0].Until.UnixMilli() != 9 {
		t.Errorf("%+v", got)
	}
	add(10, 10, Damaged)
	b.AddStone(Stone{Run: "r", First: 14, Last: 14, Cause: Dead})
	if len(b.Index.Tombstones) != 5 || b.News() != NewsNow {
		t.Errorf("a frozen tombstone has grown: %+v", b.Index.Tombstones)
	}
	b.AckTombstones(got[0].ID, got[1].ID, 99)
	if got = b.Tombstones(); len(got) != 3 || got[0].Cause != Dead {
		t.Errorf("%+v", got)
	}
}

func TestGapsAreCutWhereARunEnds(t *testing.T) {
	var b Books
	b.Index.Runs.Begin("a", 0, 0, 1)
	b.Index.Runs.Begin("b", 10, 10, 2)
	b.Find(count(20, 40))
	b.SetMark(21)
	b.Drop([]Span{{1, 21}}, count(20, 40), DroppedAge, 0, 0)
	got := b.Tombstones()
	if len(got) != 2 || got[0].Run != "a" || got[0].Last != 10 || got[1].Run != "b" || got[1].First != 1 ||
		got[1].Count != count(10, 20) {
		t.Errorf("%+v", got)
	}
	if b.Ledger().Waiting != (bridge.Count{}) || b.Backlog() != (bridge.Count{}) {
		t.Errorf("%+v", b.Ledger())
	}
}

func TestRuns(t *testing.T) {
	var r Runs
	for i := range mostRuns + 10 {
		r.Begin(string(rune('a'+i%26)), bridge.Position(10*i), bridge.Position(10*i+i%3), int64(i))
	}
	if x := r.At(25); x.Base != 20 {
		t.Errorf("25 is of the run after %d", x.Base)
	}
	if r.At(0) != nil {
		t.Error("0 is of a run")
	}
	if last := r[2].PreviousLast; last != 12 {
		t.Errorf("the run before got to %d", last)
	}
	r[0].Acked, r[1].Acked = true, true
	kept := r.Prune(15)
	if len(kept) != len(r)-1 || kept[0].Base != 10 {
		t.Errorf("%d runs, the first after %d", len(kept), kept[0].Base)
	}
	kept = r.Prune(1 << 40)
	if len(kept) != mostRuns+1 {
		t.Errorf("%d runs are kept, want %d and the newest", len(kept), mostRuns)
	}
	var learnt Runs
	learnt.Learn("b", 10, 1)
	learnt.Learn("a", 0, 0)
	learnt.Learn("b", 11, 1)
	if len(learnt) != 2 || learnt[0].Run != "a" || len(learnt.Untold()) != 2 {
		t.Errorf("%+v", learnt)
	}
}

// TestOwn: a journal of a run that the index does not know may be of a queue whose index
// was lost, or older; not if another run numbered from there.
func TestOwn(t *testing.T) {
	var r Runs
	r.Begin("a", 0, 0, 0)
	r.Begin("b", 10, 10, 1)
	for _, tt := range []struct {
		run   string
		base  bridge.Position
		first bridge.Position
		end   bridge.Position
		own   bool
	}{
		{"b", 10, 11, 11, true}, // known
		{"b", 10, 11, 15, true}, // some of it on disk
		{"b", 10, 9, 11, false}, // begins in another
		{"a", 10, 11, 11, false},
		{"x", 10, 11, 11, false}, // b's base
		{"x", 12, 13, 15, false}, // others are on disk there
		{"x", 12, 13, 13, true},
	} {
		runs := slices.Clone(r)
		if own := runs.Own(tt.run, tt.base, tt.first, tt.first+1, tt.end, 2); own != tt.own {
			t.Errorf("%+v: %v", tt, own)
		}
	}
}

// TestManyStarts is a gateway that starts and dies for weeks without a cloud.
func TestManyStarts(t *testing.T) {
	var m Runs
	for i := range 2000 {
		m.Begin(fmt.Sprint("run-", i), bridge.Position(i), bridge.Position(i), 1)
		m = m.Prune(1990)
	}
	if n := len(m); n > mostRuns+20 || m[n-1].Previous != m[n-2].Run {
		t.Errorf("%d runs are kept", n)
	}
	for p := bridge.Position(1990); p < 2000; p++ {
		if r := m.At(p); r == nil || r.Base != p-1 {
			t.Errorf("the run of position %d is %+v", p, r)
		}
	}
}

func FuzzRecord(f *testing.F) {
	r := Record{Number: 7, Next: 99, Uptime: 12, Done: Spans{{0, 5}, {7, 9}},
		Counts: map[bridge.Position]bridge.Count{1: count(2, 3), 9: count(4, 5)}}
	b, err := r.Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[RecordHead:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, rest []byte) {
		r, err := parseRest(rest)
		if err != nil {
			return
		}
		b, err := r.Append(nil)
		if err != nil {
			return // it is too long
		}
		if n, err := RestOf(b); err != nil || n != len(b)-RecordHead {
			t.Fatalf("%d bytes follow, %v", n, err)
		}
		again, err := ParseRecord(b[:RecordHead], b[RecordHead:])
		if err != nil || again.Number != r.Number || again.Next != r.Next || again.Uptime != r.Uptime ||
			!slices.Equal(again.Done, r.Done) || !maps.Equal(again.Counts, r.Counts) {
			t.Errorf("%+v, %v; was %+v", again, err, r)
		}
		binary.LittleEndian.PutUint32(b[4:], binary.LittleEndian.Uint32(b[4:])^1)
		if _, err := ParseRecord(b[:RecordHead], b[RecordHead:]); err == nil {
			t.Error("a wrong checksum is not noticed")
		}
	})
}

// TestReach: what turns out to be durable is said by the run after the one it is of.
func TestReach(t *testing.T) {
	var r Runs
	r.Begin("a", 0, 0, 1)
	r.Begin("b", 20, 10, 2) // what the journal had of a, 11 to 20, is not on disk yet
	r.Begin("c", 20, 10, 3)
	r[1].Acked = true
	for _, tt := range []struct {
		last bridge.Position
		want uint64
	}{{0, 10}, {9, 10}, {15, 15}, {25, 15}, {20, 20}} {
		if r.Reach(tt.last); r[1].PreviousLast != tt.want || r[2].PreviousLast != 0 {
			t.Errorf("%d: %+v", tt.last, r)
		}
	}
	if r[1].Acked {
		t.Error("the cloud is not told again")
	}
	// The run that says it is forgotten: the one after it speaks of another run.
	r = slices.Delete(r, 1, 2)
	if before := r[1].PreviousLast; r.Reach(18) || r[1].PreviousLast != before || r[1].Previous != "b" {
		t.Errorf("c says of b what is known of a: %+v", r)
	}
}

// TestFindIsBacklog: what a repair finds after the connection began was there before.
func TestFindIsBacklog(t *testing.T) {
	var b Books
	n := bridge.Count{Batches: 2, Readings: 5}
	b.Find(n)
	b.SetMark(3)
	b.Find(n)
	if b.Backlog() != n.Add(n) || b.Fresh() != (bridge.Count{}) || b.Ledger().Waiting != n.Add(n) {
		t.Errorf("backlog %v, fresh %v, ledger %+v", b.Backlog(), b.Fresh(), b.Ledger())
	}
	if l := b.Ledger(); !l.Balanced() {
		t.Errorf("ledger %+v", l)
	}
}

// TestNamedOnce names what is lost once, whatever a kill has left of it: what the index has a
// tombstone of is not called uncommitted, but if it should be somewhere, or if another run
// numbered from the same base.
func TestNamedOnce(t *testing.T) {
	var b Books
	b.Index.Runs.Begin("gone", 10, 0, 1)
	b.Index.Runs.Begin("r", 10, 0, 2)
	b.Done.Add(0, 11)
	for _, s := range []Stone{
		{Run: "gone", First: 1, Last: 9, Count: count(9, 9), Cause: DroppedFull},
		{Run: "r", First: 2, Last: 5, Count: count(1, 0), Cause: DroppedFull}, // the others were thinned
		{Run: "r", First: 7, Last: 7, Count: count(1, 1), Cause: Dead},
	} {
		b.AddStone(s)
	}
	for range 2 {
		b.NameUncommitted(0, 19)
	}
	var got []Span
	for _, s := range b.Index.Tombstones {
		if s.Cause == Uncommitted {
			if s.Run != "r" || s.Count.Batches != s.Last-s.First+1 {
				t.Errorf("%+v", s)
			}
			got = append(got, Span{bridge.Position(s.First), bridge.Position(s.Last)})
		}
	}
	if !slices.Equal(got, []Span{{1, 1}, {6, 8}}) || len(b.Untold()) != 2 {
		t.Errorf("named %v, untold %v", got, b.Untold())
	}
	b.AddStone(Stone{Run: "r", First: 7, Last: 7, Count: count(1, 1), Cause: Dead})
	b.AddStone(Stone{Run: "r", First: 7, Last: 7, Count: count(1, 1), Cause: Purged})
	if n := len(b.Index.Tombstones); n != 6 {
		t.Errorf("%d tombstones: %+v", n, b.Index.Tombstones)
	}
}
