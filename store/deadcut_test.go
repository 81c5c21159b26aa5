package store

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/store/folder"
	"fieldbridge/store/memory"
	"fieldbridge/store/terms"
)

// deadCutDir is the environment variable that makes the test binary the gateway
// whose dead letters come and go while its writes and syncs are recorded.
const deadCutDir = "FIELDBRIDGE_DEADCUT_DIR"

// deadCutConfig has segments of dead letters that hold a dozen.
func deadCutConfig(dir string) terms.Config {
	c := killConfig(dir)
	c.CommitEvery = testConfig(dir).CommitEvery
	c.MaxSize = 4 << 20
	c.MinFree = 0
	return c
}

// idOf names what a batch holds: it stays when the batch is retried under another
// run and seq.
func idOf(e *bridge.Entry) string {
	return e.Readings[0].Value.Str() + " " + e.Readings[1].Value.String()
}

// TestDeadCutChild is that gateway: it buries, retries some at a time, buries
// again, purges. It says what is dead on disk, and what it is about to purge.
func TestDeadCutChild(t *testing.T) {
	dir := os.Getenv(deadCutDir)
	if dir == "" {
		t.Skip("only as a child of TestDeadLettersSurviveCuts")
	}
	say := func(what, id string) { os.Stdout.WriteString("@" + what + " " + id + "\n") }
	for range 2 {
		q, err := Open(deadCutConfig(dir), quiet)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.keep.ask(t.Context(), func() error {
			q.keep.letters.most = memory.Cost(bridge.Count{Batches: 7, Readings: 7 * 30})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for seq := uint64(1); seq <= 60; seq++ {
			b := content(q.Run(), seq)
			b.Readings = append(b.Readings, noiseOf(int(seq), 80).Readings...)
			q.Append(b, nil)
		}
		commitNow(t, q)
		bury := func(n int) {
			q.Offline()
			q.Online()
			entries := take(t, q, bridge.Backlog)
			entries = entries[max(0, len(entries)-60):]
			for i := range entries[:n] {
				q.Bury("no", entries[i].Position)
			}
			commitNow(t, q)
			for i := range entries[:n] {
				say("dead", idOf(&entries[i]))
			}
		}
		bury(40)
		if _, err := q.RetryDead(t.Context()); err != nil {
			t.Fatal(err)
		}
		bury(30)
		if err := q.Dead(t.Context(), func(
			l folder.DeadLetter) error {
			say("purging", idOf(&l.Entry))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if n, err := q.PurgeDead(t.Context()); err != nil || n.Batches != 30 {
			t.Fatal(n, err)
		}
		bury(10)
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDeadLettersSurviveCuts cuts the power at every kind of instant of a life of
// dead letters: while they are buried, retried, purged and their segments removed.
// What was said to be dead is then there once, as a dead letter or in the queue;
// what was being purged at most once; and the ledger adds up.
func TestDeadLettersSurviveCuts(t *testing.T) {
	t.Parallel() // it mostly waits for other processes
	rnd := cutRand(t)
	ops, dir := traceChild(t, "TestDeadCutChild", deadCutDir)
	cuts := make([]int, soak(20))
	for i := range cuts {
		cuts[i] = rnd.IntN(len(ops))
	}
	slices.Sort(cuts)
	disk := newSimDisk(dir)
	dead := map[string]bool{} // true if it must be there
	done, both := 0, 0
	for _, at := range cuts {
		for ; done < at; done++ {
			op := ops[done]
			disk.do(op)
			if words := strings.Fields(string(op.data)); op.what == "say" && len(words) == 3 {
				dead[words[1]+" "+words[2]] = words[0] == "@dead"
			}
		}
		both += afterDeadCut(t, disk, rnd, at, dead)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d cuts in %d operations; after %d there were letters and batches", len(cuts), len(ops), both)
}

// afterDeadCut starts the queue as a cut leaves it and looks where each batch is.
func afterDeadCut(t *testing.T, disk *simDisk, rnd *rand.Rand, at int, dead map[string]bool) (both int) {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(disk.dir), "fieldbridge-test-cut-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	disk.cut(t, rnd, dir)
	q, err := Open(deadCutConfig(dir), quiet)
	if err != nil {
		t.Fatalf("cut at %d: %v", at, err)
	}
	defer q.Close()
	there := map[string]int{}
	letters := uint64(0)
	if err := q.Dead(t.Context(), func(l folder.DeadLetter) error {
		letters++
		there[idOf(&l.Entry)]++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if l := q.Ledger(); l.Dead.Batches != letters || !l.Balanced() || l.Damaged != (bridge.Count{}) {
		t.Errorf("cut at %d: %d letters, ledger %+v", at, letters, l)
	}
	q.Online()
	entries := drainSlowly(t, q)
	for i := range entries {
		there[idOf(&entries[i])]++
	}
	for id, must := range dead {
		if n := there[id]; n > 1 || must && n == 0 {
			t.Errorf("cut at %d: %s is there %d times", at, id, n)
		}
	}
	for id, n := range there {
		if n > 1 {
			t.Errorf("cut at %d: %s is there %d times", at, id, n)
		}
	}
	if letters > 0 && len(entries) > 0 {
		return 1
	}
	return 0
}
