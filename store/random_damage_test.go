package store

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/store/folder"
)

// TestRandomDamages changes bytes of a segment or of the dead letters at random,
// mostly where bbolt keeps its structure, and uses the queue: the process must
// not die, nothing wrong may be handed out, the ledger must hold.
func TestRandomDamages(t *testing.T) {
	segments, run := damagedQueue(t)
	dead, deadRun := deadMaster(t)
	for seed := range uint64(soak(20)) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		master, name, of := segments, filepath.Base(folder.SegmentPath("", 1)), run
		if seed%3 == 2 {
			master, name, of = dead, filepath.Join(folder.DeadDir, filepath.Base(folder.SegmentPath("", 1))), deadRun
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) { testRandomDamage(t, rnd, copyDir(t, master), name, of) })
		if t.Failed() {
			return
		}
	}
}

func testRandomDamage(t *testing.T, rnd *rand.Rand, dir, name, run string) {
	withFile(t, filepath.Join(dir, name), func(f *os.File, size int64) {
		for range 1 + rnd.IntN(4) {
			offset := rnd.Int64N(size/pageSize) * pageSize
			switch rnd.IntN(4) {
			case 0:
				offset += rnd.Int64N(pageSize)
			case 1:
				offset += rnd.Int64N(16) // the header of the page
			default:
				offset += rnd.Int64N(200) // its first elements
			}
			f.WriteAt([]byte{byte(rnd.IntN(256))}, offset)
		}
	})
	c := smallConfig(dir)
	if rnd.IntN(2) == 0 {
		c.SegmentSize = 64 << 10
	}
	q, err := Open(c, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	q.Append(testBatch(1, 3), nil)
	commitNow(t, q)
	if _, err := q.RetryDead(t.Context()); err != nil {
		t.Fatal(err)
	}
	q.Online()
	got := map[uint64]bool{}
	for _, e := range drainSlowly(t, q) {
		if e.Run != run {
			continue // retried, or of this run
		}
		want := noiseOf(int(e.Seq)-1, 24)
		if got[e.Seq] || e.Seq > damageBatches || e.Readings[23] != want.Readings[23] {
			t.Errorf("seq %d comes twice, or is another", e.Seq)
		}
		got[e.Seq] = true
	}
	if l := q.Ledger(); !l.Balanced() || l.Waiting != (bridge.Count{}) {
		t.Errorf("ledger: %+v", l)
	}
}

// TestRepairedBeforeTheRecord: a power cut after a repair brings the record of
// acknowledgements of before, which counts what was done and is lost. What waits is
// what is delivered.
func TestRepairedBeforeTheRecord(t *testing.T) {
	q := openQueue(t, smallConfig(tempDir(t)))
	for i := range damageBatches {
		q.Append(noiseOf(i, 24), nil)
		if i%damagePer == damagePer-1 {
			commitNow(t, q)
		}
	}
	q.Online()
	q.Offline()
	ackAll(q, take(t, q, bridge.Backlog)[:damageBatches*2/3])
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	acks, err := os.ReadFile(filepath.Join(q.shelf.Dir, "acks"))
	if err != nil {
		t.Fatal(err)
	}
	repaired := 0
	for n := range pages(t, folder.SegmentPath(q.shelf.Dir, 1), pageLeaf) {
		dir := copyDir(t, q.shelf.Dir)
		onPage(pageLeaf, n, zeroPage)(t, folder.SegmentPath(dir, 1))
		c := smallConfig(dir)
		c.SegmentSize = 64 << 10
		first := openQueue(t, c)
		first.Append(testBatch(1, 3), nil)
		first.Online()
		take(t, first, bridge.Backlog)
		commitNow(t, first) // which waits for a repair
		lost := first.Ledger().Damaged.Batches
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "acks"), acks, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := OpenStopped(c)
		if err != nil {
			t.Fatal(err)
		}
		seen := r.Inspect().Waiting
		r.Close()
		again := openQueue(t, c)
		again.Online()
		waits := again.Ledger().Waiting
		got := drainSlowly(t, again)
		l := again.Ledger()
		if waits.Batches != uint64(len(got)) || seen != waits || !l.Balanced() || l.Waiting.Batches != 0 {
			t.Errorf("leaf %d, %d lost: %d seen, %d wait, %d delivered: %+v", n, lost, seen.Batches, waits.Batches, len(got), l)
		}
		if again.Close(); lost > 0 {
			repaired++
		}
	}
	if repaired == 0 {
		t.Error("nothing was lost: this shows nothing")
	}
}
