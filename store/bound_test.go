package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/memory"
)

// TestMemoryBound holds the disk up: what is kept in memory follows the
// configuration, whatever it is made of.
func TestMemoryBound(t *testing.T) {
	text := bridge.Batch{Device: "d", At: time.UnixMilli(1), Readings: []bridge.Reading{
		{Point: "p", Value: bridge.String(strings.Repeat("x", 100_000))}}}
	for name, batch := range map[string]bridge.Batch{"numbers": testBatch(0, 1000), "small": testBatch(0, 1),
		"texts": text} {
		for _, most := range []int64{1 << 20, 4 << 20} {
			inBubble(t, func(t *testing.T, q *Queue) {
				c := *q.cfg.Load()
				c.Memory = most
				if err := q.Apply(c); err != nil {
					t.Fatal(err)
				}
				slow := make(chan struct{})
				go func() { _ = q.keep.ask(t.Context(), func() error { <-slow; return nil }) }()
				synctest.Wait()
				n := 2 * int(most) / int(memory.CostOf(&batch))
				for range n {
					q.Append(batch, nil)
				}
				kept := int64(q.Status().Memory.Batches) * int64(memory.CostOf(&batch))
				if l := q.Ledger(); kept > most || kept < most*3/4 || !l.Balanced() {
					t.Errorf("%s, %d MiB: %d KiB are kept, %+v", name, most>>20, kept>>10, l)
				}
				close(slow)
				time.Sleep(time.Millisecond)
				synctest.Wait()
				if s := q.Status(); s.Memory.Batches != 0 {
					t.Errorf("%s, %d MiB: %d batches stay in memory", name, most>>20, s.Memory.Batches)
				}
			})
		}
	}
}

// TestJournalFollowsTheMemory starts with less memory than the gateway had that was
// killed: nothing is lost, and the journal is as large as it is to be from then on.
func TestJournalFollowsTheMemory(t *testing.T) {
	t.Parallel()
	dir, journal := dieWith(t, "kill")
	c := leftConfig(dir, journal)
	for _, most := range []int64{1 << 20, 32 << 20, 0} {
		c.Memory = most
		q := openQueue(t, c)
		if most == 1<<20 {
			isLeft(t, q)
		}
		info, err := os.Stat(q.journal.Path())
		if err != nil || info.Size() != c.JournalMost() || int64(q.journal.Size()) != info.Size() {
			t.Errorf("memory %d: the journal is of %d, its file %v, %v", most, q.journal.Size(), info, err)
		}
		q.Append(content(q.Run(), 1), nil)
		if found, err := filepath.Glob(filepath.Join(journal, "*")); err != nil || len(found) != 1 {
			t.Errorf("files %v, %v", found, err)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
