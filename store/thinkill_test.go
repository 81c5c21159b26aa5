package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/store/folder"
)

// thinKillDir and thinCutDir make the test binary a gateway that thins, and is killed, or
// whose writes are recorded.
const (
	thinKillDir = "FIELDBRIDGE_THIN_KILL_DIR"
	thinCutDir  = "FIELDBRIDGE_THIN_CUT_DIR"
)

// waitingSeconds returns of how many batches of second there is something in the queue:
// the first of all, or it is an error.
func waitingSeconds(t testing.TB, q *Queue) int {
	t.Helper()
	var all []bridge.Entry
	x, err := q.Entries(t.Context(), folder.Filter{}, func(some []bridge.Entry) error {
		all = append(all, slices.Clone(some)...)
		return nil
	})
	if err != nil || x.Unread > 0 {
		t.Fatalf("read the queue: %v, %d segments are unread", err, x.Unread)
	}
	n := 0
	for _, s := range shapeOf(t, all) {
		n += int(s.n)
	}
	checkShape(t, all, n)
	l := q.Ledger()
	if uint64(readingsOf(all)) != l.Waiting.Readings || uint64(len(all)) != l.Waiting.Batches || !l.Balanced() ||
		l.Damaged.Batches > 0 || len(lostFromDisk(q)) > 0 && !onlyThinned(q) {
		t.Errorf("%d batches with %d readings wait; ledger %+v, tombstones %+v", len(all), readingsOf(all), l,
			lostFromDisk(q))
	}
	return n
}

// cutThinQueue opens a queue that thins, of 2 MiB: a simulated cut leaves files without
// holes, and a smaller one would drop what it cannot hold then.
func cutThinQueue(t testing.TB, dir string) *Queue {
	t.Helper()
	c := tinyConfig(dir)
	c.MaxSize, c.SegmentSize = c.MaxSize+1<<20, 192<<10
	q := openQueue(t, c)
	q.ThinBy(minuteAndHour)
	return q
}

func onlyThinned(q *Queue) bool {
	return !slices.ContainsFunc(lostFromDisk(q), func(s bridge.Tombstone) bool { return s.Cause != "thinned" })
}

// TestThinKilledChild goes on where the one before it was killed.
func TestThinKilledChild(t *testing.T) {
	dir := os.Getenv(thinKillDir)
	if dir == "" {
		t.Skip("only as a child of TestThinKill")
	}
	q := cutThinQueue(t, dir)
	n := waitingSeconds(t, q)
	if t.Failed() {
		return
	}
	for {
		fmt.Printf("has %d\n", n)
		l := q.Ledger()
		if l.Dropped.Batches > 0 {
			fmt.Printf("bad %+v\n", l)
		}
		for range 400 {
			q.Append(second(n), nil)
			n++
		}
		if err := q.Commit(context.Background()); err != nil {
			fmt.Printf("bad %v\n", err)
		}
	}
}

// TestThinKill kills a gateway that thins at random instants: what was on disk is there
// after it, whole or thinned, and once.
func TestThinKill(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	most := 0
	for range soak(4) {
		killChild(t, "TestThinKilledChild", []string{thinKillDir + "=" + dir}, func(line string) {
			var n int
			if _, err := fmt.Sscanf(line, "has %d", &n); err != nil || n < most {
				t.Errorf("%d batches were on disk, then: %s", most, line)
			}
			most = max(most, n)
		})
		if t.Failed() {
			return
		}
	}
	q := cutThinQueue(t, dir)
	if n := waitingSeconds(t, q); n < most {
		t.Errorf("%d batches were on disk, now %d", most, n)
	}
	q.Online()
	checkShape(t, take(t, q, bridge.Backlog), waitingSeconds(t, q))
	t.Logf("%d batches", most)
}

// TestThinCutChild is the gateway whose writes and syncs are recorded.
func TestThinCutChild(t *testing.T) {
	dir := os.Getenv(thinCutDir)
	if dir == "" {
		t.Skip("only as a child of TestThinPowerCuts")
	}
	q := cutThinQueue(t, cutQueue(dir))
	n := waitingSeconds(t, q)
	for end := n + 20_000; n < end; {
		for range 400 {
			q.Append(second(n), nil)
			n++
		}
		commitNow(t, q)
		os.Stdout.WriteString("@safe seconds " + itoa(uint64(n)) + "\n")
	}
	if l := q.Ledger(); l.Thinned.Readings == 0 || l.Dropped.Batches > 0 {
		t.Fatalf("nothing was tested: %+v", l)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestThinPowerCuts cuts the power at many instants, most of all while the new file takes
// the place of the old, and once more in the start after that.
func TestThinPowerCuts(t *testing.T) {
	t.Parallel()
	rnd := cutRand(t)
	ops, dir := traceChild(t, "TestThinCutChild", thinCutDir)
	cuts := thinCuts(t, rnd, ops, soak(6))
	disk := newSimDisk(dir)
	done, safe := 0, 0
	for i, at := range cuts {
		for ; done < at; done++ {
			disk.do(ops[done])
			safe = max(safe, safeSeconds(&ops[done]))
		}
		to := cutTo(t, disk, rnd)
		if i != len(cuts)/2 {
			afterThinCut(t, to, fmt.Sprintf("cut %d at %d", i, at), safe)
			continue
		}
		again := newSimDisk(to)
		again.load(t)
		more := readTrace(t, traceIn(t, "TestThinCutChild", thinCutDir, to), to)
		from, known := 0, safe
		for _, cut := range thinCuts(t, rnd, more, soak(6)/2) {
			for ; from < cut; from++ {
				again.do(more[from])
				known = max(known, safeSeconds(&more[from]))
			}
			afterThinCut(t, cutTo(t, again, rnd), fmt.Sprintf("cut %d at %d, started and cut at %d", i, at, cut), known)
		}
		if t.Failed() {
			return
		}
	}
}

// thinCuts returns where to cut: at random, and around the files that take the place of
// others.
func thinCuts(t *testing.T, rnd *rand.Rand, ops []diskOp, n int) (cuts []int) {
	t.Helper()
	for range n {
		cuts = append(cuts, rnd.IntN(len(ops)+1))
	}
	replaced := 0
	for i, op := range ops {
		if op.what == "rename" && strings.HasSuffix(op.path, ".thin") {
			if replaced++; rnd.IntN(3) == 0 && len(cuts) < 2*n {
				cuts = append(cuts, max(0, i-rnd.IntN(4)), min(len(ops), i+1+rnd.IntN(4)))
			}
		}
	}
	if replaced == 0 {
		t.Fatal("nothing was thinned")
	}
	slices.Sort(cuts)
	return cuts
}

func safeSeconds(op *diskOp) (n int) {
	_, _ = fmt.Sscanf(string(op.data), "@safe seconds %d", &n)
	return n
}

func afterThinCut(t *testing.T, dir, what string, safe int) {
	t.Helper()
	defer os.RemoveAll(dir)
	c := smallConfig(cutQueue(dir))
	r, err := OpenStopped(c)
	if err == nil {
		unread := 0
		x, _ := r.Entries(t.Context(), folder.Filter{}, func(some []bridge.Entry) error { unread += len(some); return nil })
		if x.Unread > 0 {
			t.Errorf("%s: %d segments cannot be read before the start", what, x.Unread)
		}
		_ = r.Close()
	}
	q := openQueue(t, c)
	defer q.Close()
	if n := waitingSeconds(t, q); n < safe {
		t.Errorf("%s: %d batches were on disk, now %d", what, safe, n)
	}
	if t.Failed() {
		t.Fatal(what)
	}
}
