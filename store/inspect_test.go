package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
	"fieldbridge/store/terms"
)

// roomyConfig has small segments and no limit that is reached.
func roomyConfig(dir string) terms.Config {
	c := smallConfig(dir)
	c.MaxSize = 64 << 20
	return c
}

// filled returns a queue with 1,000 batches on disk in several segments, of
// which the first 100 are acknowledged and 5 more are dead letters.
func filled(t *testing.T) *Queue {
	q := openQueue(t, roomyConfig(tempDir(t)))
	for i := range 1000 {
		b := noiseOf(i, 400)
		b.At = time.UnixMilli(1763887500000 + int64(i)*1000)
		if i%2 == 1 {
			b.Device = "odd"
		}
		q.Append(b, nil)
		if i%20 == 19 {
			commitNow(t, q)
		}
	}
	q.Online()
	entries := take(t, q, bridge.Backlog)
	ackAll(q, entries[:100])
	for _, e := range entries[100:105] {
		q.Bury("too large", e.Position)
	}
	q.Offline()
	commitNow(t, q)
	return q
}

func TestInspectAndVerify(t *testing.T) {
	q := filled(t)
	running := q.Inspect()
	if n := len(running.Segments); n < 4 || running.Waiting.Batches != 895 || running.Dead.Batches != 5 ||
		running.FullIn <= 0 ||
		running.BytesPerReading < 8 || running.BytesPerReading > 14 || running.Bytes != dirSize(t, q.shelf.Dir) {
		t.Errorf("running: %+v", running)
	}
	damages := 0
	if err := q.Verify(t.Context(), func(v folder.Verified) {
		if v.Damage != nil {
			damages++
		}
	}); err != nil || damages != 0 {
		t.Errorf("verify: %d damages, %v", damages, err)
	}
	if _, err := OpenStopped(*q.cfg.Load()); err == nil || !strings.Contains(err.Error(), "in use by process") {
		t.Errorf("opening the folder of a running queue: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	before := listing(t, q.shelf.Dir)
	s, err := OpenStopped(*q.cfg.Load())
	if err != nil {
		t.Fatal(err)
	}
	stopped := s.Inspect()
	if len(stopped.Segments) != len(running.Segments) || stopped.Waiting != running.Waiting ||
		stopped.Dead != running.Dead || len(stopped.Runs) != 1 {
		t.Errorf("stopped: %+v", stopped)
	}
	n := 0
	_, err = s.Entries(t.Context(), folder.Filter{}, func(e []bridge.Entry) error { n += len(e); return nil })
	if err != nil || n != 895 {
		t.Errorf("%d entries, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, listing(t, q.shelf.Dir)); d != "" {
		t.Errorf("looking at it has changed it:\n%s", d)
	}
	// Damaged, it says so and changes nothing.
	path := folder.SegmentPath(q.shelf.Dir, running.Segments[1].First)
	onPage(pageLeaf, 5, flipAt(2000))(t, path)
	s, err = OpenStopped(*q.cfg.Load())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var bad []string
	s.Verify(t.Context(), func(v folder.Verified) {
		if v.Damage != nil {
			bad = append(bad, v.File)
		}
	})
	if len(bad) != 1 || bad[0] != filepath.Base(path) {
		t.Errorf("damaged: %v, want %s", bad, path)
	}
}

// listing returns what is below dir: kind and rights, when it was changed, content.
func listing(t *testing.T, dir string) map[string]string {
	files := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		files[path] = info.Mode().String() + " " + info.ModTime().String()
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			files[path] += " " + string(b)
			return err
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEntriesFilterAndForget(t *testing.T) {
	q := filled(t)
	at := func(i int) time.Time { return time.UnixMilli(1763887500000 + int64(i)*1000) }
	var got []uint64
	visit := func(entries []bridge.Entry) error { got = append(got, seqsOf(entries)...); return nil }
	f := folder.Filter{Since: at(200), Until: at(210), Device: "odd"}
	if _, err := q.Entries(t.Context(), f, visit); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]uint64{202, 204, 206, 208, 210}, got); d != "" {
		t.Error(d)
	}
	if q.Ledger().Dropped.Batches != 0 {
		t.Error("an export dropped something")
	}
	got = nil
	f = folder.Filter{Until: at(500)}
	x, err := q.Entries(t.Context(), f, visit)
	if err != nil || len(got) != 395 || len(x.Ranges) != 1 || x.Unread != 0 {
		t.Fatalf("%d exported, %+v, %v", len(got), x, err)
	}
	if n, err := q.Forget(t.Context(), f, x); n.Batches != 395 || err != nil {
		t.Errorf("forgotten: %+v, %v", n, err)
	}
	if l := q.Ledger(); l.Dropped.Batches != 395 || l.Waiting.Batches != 500 || !l.Balanced() {
		t.Errorf("ledger: %+v", l)
	}
	stones := stonesOf(q, books.Forgotten)
	if len(stones) != 1 || stones[0].First != 106 || stones[0].Last != 500 {
		t.Errorf("tombstones: %+v", stones)
	}
	commitNow(t, q)
	q = openQueue(t, roomyConfig(copyDir(t, q.shelf.Dir)))
	if l := q.Ledger(); l.Waiting.Batches != 500 {
		t.Errorf("after a crash: %+v", l)
	}
	if _, err := q.Forget(t.Context(), f, x); !errors.Is(err, ErrRestarted) {
		t.Errorf("forgetting what another run exported: %v", err)
	}
	n, err := q.Purge(t.Context())
	if l := q.Ledger(); err != nil || n.Batches != 500 || l.Waiting.Batches != 0 || !l.Balanced() {
		t.Errorf("purged %+v, %v: %+v", n, err, l)
	}
}

func seqsOf(entries []bridge.Entry) (out []uint64) {
	for i := range entries {
		out = append(out, entries[i].Seq)
	}
	return out
}

// stonesOf returns the tombstones of one cause.
func stonesOf(q *Queue, cause string) []bridge.Tombstone {
	return slices.DeleteFunc(q.Tombstones(), func(s bridge.Tombstone) bool { return s.Cause != cause })
}

// TestDeadLettersAreTold: while a dead letter waits for its owner, the cloud is
// told where it is, and with its neighbours in one notice.
func TestDeadLettersAreTold(t *testing.T) {
	inBubble(t, func(t *testing.T, q *Queue) {
		q.Online()
		<-q.Noticed() // the run record
		for i := range 10 {
			q.Append(testBatch(i, 2), nil)
		}
		entries := take(t, q, bridge.Fresh)
		judge := audit{t: t}
		for i := range entries {
			if i >= 3 && i < 7 {
				q.Bury("too large", entries[i].Position)
			} else {
				q.Ack(entries[i].Position)
				judge.batch(entries[i].Run, entries[i].Seq, entries[i].Batch)
			}
		}
		select {
		case <-q.Noticed():
			t.Error("it is told before its neighbours can be")
		case <-time.After(noticeDelay / 2):
		}
		<-q.Noticed()
		judge.notices(q)
		judge.kept()
		if s := stonesOf(q, books.Dead); len(s) != 1 || s[0].First != 4 || s[0].Last != 7 || s[0].Count.Readings != 8 {
			t.Errorf("tombstones: %+v", s)
		}
	})
}

func TestDeadLetters(t *testing.T) {
	q := filled(t)
	var letters []folder.DeadLetter
	list := func(q *Queue) {
		t.Helper()
		letters = nil
		err := q.Dead(t.Context(), func(l folder.DeadLetter) error { letters = append(letters, l); return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	list(q)
	if len(letters) != 5 || letters[0].Seq != 101 || letters[0].Cause != "too large" || len(letters[0].Readings) != 400 ||
		letters[4].Readings[399] != noiseOf(104, 400).Readings[399] {
		t.Fatalf("%d dead letters", len(letters))
	}
	if h := q.Health(); len(h) != 1 || !strings.HasPrefix(h[0].Text, "5 batches were refused") {
		t.Errorf("health: %+v", h)
	}
	n, err := q.RetryDead(t.Context())
	if l := q.Ledger(); err != nil || n.Batches != 5 || l.Dead.Batches != 0 || l.Waiting.Batches != 900 || !l.Balanced() {
		t.Fatalf("retried %+v, %v: %+v", n, err, l)
	}
	for _, cause := range []string{books.Dead, books.Retried} {
		if s := stonesOf(q, cause); len(s) != 1 || s[0].First != 101 || s[0].Last != 105 || s[0].Count != n {
			t.Errorf("tombstones of what was %s: %+v", cause, s)
		}
	}
	q.Online()
	entries := take(t, q, bridge.Backlog)
	last := entries[len(entries)-5:]
	if last[0].Seq != 1001 || last[0].Readings[0] != noiseOf(100, 400).Readings[0] {
		t.Errorf("retried as %d", last[0].Seq)
	}
	for _, e := range last {
		q.Bury("still too large", e.Position)
	}
	commitNow(t, q)
	q = openQueue(t, roomyConfig(copyDir(t, q.shelf.Dir)))
	if l := q.Ledger(); l.Dead.Batches != 5 || l.Restored.Batches != 900 || !l.Balanced() {
		t.Errorf("after a crash: %+v", l)
	}
	n, err = q.PurgeDead(t.Context())
	if l := q.Ledger(); err != nil || n.Batches != 5 || l.Dead.Batches != 0 || l.Dropped.Batches != 5 || !l.Balanced() {
		t.Errorf("purged %+v, %v: %+v", n, err, l)
	}
	if _, err := os.Lstat(filepath.Join(q.shelf.Dir, folder.DeadDir)); err == nil {
		t.Error("the folder of dead letters stays when it is empty")
	}
	if list(q); len(letters) != 0 {
		t.Errorf("%d dead letters after a purge", len(letters))
	}
}

func TestDeadLettersHaveALimit(t *testing.T) {
	c := smallConfig(tempDir(t))
	c.MaxSize = terms.LeastMaxSize
	q := openQueue(t, c)
	q.Online()
	for i := range 800 { // some 3.4 MB, a tenth are 1.6 MiB
		q.Append(noise(i), nil)
		q.Bury("no", take(t, q, bridge.Fresh)[0].Position)
		if i%50 == 49 {
			commitNow(t, q)
		}
	}
	l := q.Ledger()
	if size := dirSize(t, filepath.Join(q.shelf.Dir, folder.DeadDir)); size > int64(terms.LeastMaxSize/10) {
		t.Errorf("they take %d bytes", size)
	}
	if l.Dead.Batches < 100 || l.Dead.Batches > 400 || l.Dropped.Batches+l.Dead.Batches != 800 || !l.Balanced() {
		t.Errorf("ledger: %+v", l)
	}
	if s := stonesOf(q, books.DroppedDead); len(s) != 1 || s[0].Count != l.Dropped {
		t.Errorf("tombstones: %+v", s)
	}
}
