package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
	"fieldbridge/store/terms"
)

// While the keeper does something it was asked to, it does nothing else: a copy of the
// folder that is made then is what a kill at that instant leaves.

// held is a queue whose keeper is held.
type held struct {
	t *testing.T
	*Queue
}

// hold opens a queue and does something while its keeper is held, then it returns a copy of
// the folder.
func hold(t *testing.T, c terms.Config, do func(h held)) (copied string) {
	t.Helper()
	q := openQueue(t, c)
	_ = q.keep.ask(t.Context(), func() error {
		do(held{t, q})
		copied = copyDir(t, q.shelf.Dir)
		return nil
	})
	return copied
}

// fill appends batches and returns all that wait, claimed.
func (h held) fill(n int) []bridge.Entry {
	h.t.Helper()
	for range n {
		seq := h.mem.Seq(h.mem.End())
		b := content(h.run, seq)
		b.Readings = append(b.Readings, noiseOf(int(seq), 30).Readings...)
		h.Append(b, nil)
	}
	h.Online()
	return take(h.t, h.Queue, bridge.Backlog)
}

// must fails the test at an error.
func (h held) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// commit writes what is in memory, and nothing else.
func (h held) commit() { h.t.Helper(); h.must(h.keep.commit(h.mem.End())) }

// record writes what is done, now.
func (h held) record() {
	h.t.Helper()
	h.mu.Lock()
	h.ackDue = 1
	h.mu.Unlock()
	h.must(h.keep.record(true))
}

// is checks what a start finds of the first run: which seqs wait, which are dead letters,
// and which are named for which cause, each once.
func is(t *testing.T, dir string, waiting, dead []uint64, named map[string][]uint64) {
	t.Helper()
	q := openQueue(t, testConfig(dir))
	defer q.Close()
	q.mu.Lock()
	first := q.books.Index.Runs[0].Run
	q.mu.Unlock()
	var letters, waits []uint64
	if err := q.Dead(t.Context(), func(l folder.DeadLetter) error {
		letters = append(letters, l.Seq)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	q.Online()
	for _, e := range take(t, q, bridge.Backlog) {
		waits = append(waits, e.Seq)
	}
	got := map[string][]uint64{}
	for _, s := range q.Tombstones() {
		if s.Run != first || s.Count.Batches != s.Last-s.First+1 {
			t.Errorf("tombstone %+v", s)
		}
		for seq := s.First; seq <= s.Last; seq++ {
			got[s.Cause] = append(got[s.Cause], seq)
		}
	}
	if l := q.Ledger(); !slices.Equal(waits, waiting) || !slices.Equal(letters, dead) ||
		fmt.Sprint(got) != fmt.Sprint(named) ||
		!l.Balanced() || l.Waiting.Batches != uint64(len(waiting)) || l.Damaged != (bridge.Count{}) {
		t.Errorf("%d wait, %d are dead, %v are named, want %d, %d, %v; ledger %+v", waits, letters, got, waiting, dead,
			named, l)
	}
}

func seqs(from, to uint64) (all []uint64) {
	for ; from <= to; from++ {
		all = append(all, from)
	}
	return all
}

// TestLetterFarAhead kills a gateway that has never recorded what is done, and has a dead
// letter on disk: what is lost before that is named.
func TestLetterFarAhead(t *testing.T) {
	dir := hold(t, testConfig(tempDir(t)), func(h held) {
		h.Bury("no", h.fill(10)[9].Position)
		h.must(h.keep.letters.bury())
	})
	is(t, dir, nil, seqs(10, 10), map[string][]uint64{books.Dead: seqs(10, 10), books.Uncommitted: seqs(1, 9)})
}

// TestCommitAmongBurials kills a gateway when batches around one are on disk that became a
// dead letter meanwhile: it waits once more.
func TestCommitAmongBurials(t *testing.T) {
	dir := hold(t, testConfig(tempDir(t)), func(h held) {
		h.Bury("no", h.fill(10)[4].Position)
		h.commit()
		if h.Ledger().Dead.Batches != 1 || len(h.dead) != 1 {
			t.Error("it is not about to be buried")
		}
		h.record()
	})
	is(t, dir, seqs(1, 10), nil, nil)
}

// TestLetterThatComesLate has a batch refused while the tombstones of others are written: it
// becomes a letter only when its own is on disk.
func TestLetterThatComesLate(t *testing.T) {
	dir := hold(t, testConfig(tempDir(t)), func(h held) {
		entries := h.fill(10)
		h.Bury("no", entries[2].Position)
		h.CountWith(func() uint64 { // it is asked while the index is made, under the lock
			if len(h.dead) == 1 && h.dead[0].Position == entries[2].Position {
				p := entries[6].Position
				batch, n, _, _ := h.mem.Bury(p)
				h.Queue.dead = append(h.Queue.dead, folder.Burial{Position: p, Batch: *batch, InMemory: true, Cause: "no",
					Count: n})
				h.books.Bury(p, n, 1)
				h.postLocked()
			}
			return 0
		})
		h.must(h.keep.letters.bury())
		if len(h.dead) != 1 || h.dead[0].Position != entries[6].Position {
			t.Errorf("%d letters wait for their tombstone", len(h.dead))
		}
		h.record()
	})
	is(t, dir, nil, seqs(3, 3), map[string][]uint64{books.Dead: seqs(3, 3), books.Uncommitted: seqs(1, 2)})
}

// TestLetterIsToldOnce kills a gateway between a tombstone and its dead letter: refused once
// more, it is told once.
func TestLetterIsToldOnce(t *testing.T) {
	bury := func(h held) {
		h.Bury("no", h.fill(0)[4].Position)
		h.must(h.keep.writeMeta())
	}
	dir := hold(t, testConfig(tempDir(t)), func(h held) {
		h.fill(10)
		h.commit()
		h.Offline()
		bury(h)
	})
	dir = hold(t, testConfig(dir), bury)
	is(t, dir, seqs(1, 10), nil, map[string][]uint64{books.Dead: seqs(5, 5)})
}

// TestLostIsToldOnce kills a start between the tombstones of what a kill has taken and the
// record of it.
func TestLostIsToldOnce(t *testing.T) {
	killed := hold(t, testConfig(tempDir(t)), func(h held) {
		h.Bury("no", h.fill(10)[9].Position)
		h.must(h.keep.letters.bury())
	})
	started := hold(t, testConfig(copyDir(t, killed)), func(held) {})
	index, err := os.ReadFile(filepath.Join(started, folder.IndexFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(killed, folder.IndexFile), index, 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string][]uint64{books.Dead: seqs(10, 10), books.Uncommitted: seqs(1, 9)}
	is(t, killed, nil, seqs(10, 10), want)
	is(t, started, nil, seqs(10, 10), want)
	is(t, started, nil, seqs(10, 10), want)
}

// TestAckedInMemoryIsNoLoss kills a gateway that had nothing on disk, then a connection that
// broke and a commit: what was acknowledged is not told to be lost.
func TestAckedInMemoryIsNoLoss(t *testing.T) {
	dir := hold(t, testConfig(tempDir(t)), func(h held) {
		ackAll(h.Queue, h.fill(10)[:7])
		h.commit()
	})
	is(t, dir, seqs(8, 10), nil, nil)
	dir = hold(t, testConfig(tempDir(t)), func(h held) {
		entries := h.fill(10)
		ackAll(h.Queue, entries[:7])
		h.Bury("no", entries[9].Position)
		h.must(h.keep.letters.bury())
	})
	is(t, dir, nil, seqs(10, 10), map[string][]uint64{books.Dead: seqs(10, 10), books.Uncommitted: seqs(8, 9)})
}

// TestEndIsNoLaterThanKnown kills a gateway that has given more than is durable, and a next one,
// with a journal, before it has given anything: what the first one's end is said to be stays.
func TestEndIsNoLaterThanKnown(t *testing.T) {
	journal := filepath.Join(tempDir(t), "j")
	dir := hold(t, testConfig(tempDir(t)), func(h held) {
		h.fill(5)
		h.commit()
		h.fill(5)
		h.record()
	})
	die(t, "start", dir, journal)
	q := openQueue(t, leftConfig(dir, journal))
	if r := q.Runs()[1]; r.PreviousLast != 5 {
		t.Errorf("the first run is said to have got to %d", r.PreviousLast)
	}
}

// TestDroppedAmongCommits kills a gateway that has dropped what was in memory, and has
// written what comes after it to the same file.
func TestDroppedAmongCommits(t *testing.T) {
	for _, writable := range []bool{true, false} {
		var first, late []uint64
		dir := hold(t, testConfig(tempDir(t)), func(h held) {
			h.fill(3)
			h.commit()
			h.Offline()
			for range 4 {
				h.Append(content(h.run, h.mem.Seq(h.mem.End())), nil)
			}
			h.keep.dropPending(h.mem.End())
			h.fill(3)
			if !writable {
				blockIndex(t, h.shelf.Dir)
				if h.keep.commit(h.mem.End()) == nil {
					t.Error("it is written around what nothing names")
				}
				return
			}
			h.commit()
			late = seqs(8, 10)
		})
		first = append(seqs(1, 3), late...)
		named := map[string][]uint64{}
		if writable {
			named[books.DroppedFull] = seqs(4, 7)
		}
		is(t, dir, first, nil, named) // else the end of the run is not known
	}
}

// blockIndex makes the index one that cannot be written.
func blockIndex(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, folder.IndexFile+".tmp~", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// TestForgottenIsNamed kills a gateway after batches were forgotten and that is recorded:
// they are named, or wait.
func TestForgottenIsNamed(t *testing.T) {
	for _, writable := range []bool{true, false} {
		dir := hold(t, testConfig(tempDir(t)), func(h held) {
			h.fill(10)
			h.commit()
			h.Offline()
			h.record()
			h.must(h.keep.writeMeta())
			x := folder.Exported{Run: h.run}
			h.must(h.running().Entries(t.Context(), folder.Filter{}, &x, func([]bridge.Entry) error { return nil }))
			if n, err := h.Forget(t.Context(), folder.Filter{}, x); err != nil || n.Batches != 10 {
				t.Fatal(n, err)
			}
			if !writable {
				blockIndex(t, h.shelf.Dir)
			}
			h.record()
		})
		if writable {
			is(t, dir, nil, nil, map[string][]uint64{books.Forgotten: seqs(1, 10)})
		} else {
			is(t, dir, seqs(1, 10), nil, nil)
		}
	}
}

// TestLastLetterOfASegment kills a gateway between a dead letter, the last that waited in a
// segment, and the record of it, and once more after the start: the segment was not lost.
func TestLastLetterOfASegment(t *testing.T) {
	dir := hold(t, testConfig(tempDir(t)), func(h held) {
		entries := h.fill(5)
		h.commit()
		h.keep.seal(&h.shelf)
		h.fill(3)
		h.commit()
		ackAll(h.Queue, entries[:4])
		h.record()
		h.Bury("no", entries[4].Position)
		h.must(h.keep.letters.bury())
	})
	dir = hold(t, testConfig(dir), func(h held) {
		h.keep.removeDone()
		if len(h.shelf.Segments) != 1 {
			t.Error("the segment is there")
		}
	})
	is(t, dir, seqs(6, 8), seqs(5, 5), map[string][]uint64{books.Dead: seqs(5, 5)})
}

// damageBlock damages every copy of the block whose first position is p.
func damageBlock(t *testing.T, path string, p uint64) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; ; {
		next := bytes.Index(data[at:], []byte("FBQB"))
		if next < 0 {
			break
		}
		if at += next + 4; binary.LittleEndian.Uint64(data[at+12:]) == p {
			data[at+60] ^= 1
		}
	}
	withFile(t, path, func(f *os.File, _ int64) { _, err = f.WriteAt(data, 0) })
	if err != nil {
		t.Fatal(err)
	}
}

// TestRepairThatIsNotTold leaves a damaged segment where it is until the account of it is on
// disk.
func TestRepairThatIsNotTold(t *testing.T) {
	dir := hold(t, testConfig(tempDir(t)), func(h held) {
		for range 6 {
			h.fill(10)
			h.commit()
		}
		h.Offline()
		h.keep.seal(&h.shelf)
		h.must(h.keep.writeMeta())
	})
	var killed string
	q := openQueue(t, testConfig(dir))
	q.Online()
	if err := q.keep.ask(t.Context(), func() error {
		s := q.shelf.Segments[0]
		damageBlock(t, s.Path, 21)
		s.Suspect = os.ErrInvalid
		blockIndex(t, dir)
		if err := q.keep.repair(&q.shelf, s); err == nil || s.Suspect == nil {
			t.Error("it is repaired")
		}
		q.mu.Lock()
		q.ackDue = 1
		q.mu.Unlock()
		if err := q.keep.record(true); err != nil {
			t.Error(err)
		}
		killed = copyDir(t, dir)
		return os.RemoveAll(filepath.Join(dir, folder.IndexFile+".tmp~"))
	}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{killed, dir} {
		if dir != killed {
			commitNow(t, q)
			q.Close()
		}
		judge, arrived := audit{t: t}, map[string]bool{}
		q := openQueue(t, testConfig(dir))
		q.Online()
		for _, e := range drainSlowly(t, q) {
			arrived[e.Run+" "+itoa(e.Seq)] = true
		}
		judge.named(arrived)
		judge.notices(q)
		judge.kept()
		named := uint64(0)
		for _, s := range q.Tombstones() {
			named += s.Count.Batches
		}
		if len(arrived) == 0 || named == 0 || uint64(len(arrived))+named != 60 {
			t.Errorf("%d arrived and %d are named of 60", len(arrived), named)
		}
	}
}
