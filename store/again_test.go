//go:build linux

package store

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
	"fieldbridge/store/folder"
	"fieldbridge/store/terms"
)

// againDir is the environment variable that makes the test binary a gateway that is
// killed while dead letters come back into its queue.
const againDir = "FIELDBRIDGE_AGAIN_DIR"

// TestAgainChild buries 12 of 30 batches and retries them; the others stay in memory.
func TestAgainChild(t *testing.T) {
	dir := os.Getenv(againDir)
	if dir == "" {
		t.Skip("only as a child")
	}
	q, err := Open(leftConfig(dir, os.Getenv(journalDir)), quiet)
	if err != nil {
		t.Fatal(err)
	}
	q.Online()
	for seq := uint64(1); seq <= 30; seq++ {
		q.Append(content(q.Run(), seq), nil)
	}
	commitNow(t, q)
	entries := take(t, q, bridge.Fresh)
	for i := range entries[:12] {
		q.Bury("no", entries[i].Position)
	}
	commitNow(t, q)
	fmt.Println("retrying")
	if _, err := q.RetryDead(t.Context()); err != nil {
		t.Fatal(err)
	}
	fmt.Println("retried")
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// TestKilledRetries kills a gateway at each write, sync and rename of a retry: each
// letter is then there once, as a letter or in the queue, and every seq that the killed
// run has given waits or is named.
func TestKilledRetries(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is missing")
	}
	killed, restored := 0, 0
	for _, call := range []string{"pwrite64", "fdatasync", "fsync", "renameat"} {
		whole := 0 // strace counts the calls of each thread by itself
		const skipped = 4
		reached := false
		for when := 1; when <= 60 && whole < 4; when++ {
			base := tempDir(t)
			dir, journal := filepath.Join(base, "q"), filepath.Join(base, "j")
			cmd := exec.Command(strace, "-f", "-o", "/dev/null", "-e", "trace="+call, "-e",
				fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, when), needtest.Self(t), "-test.run=^TestAgainChild$")
			cmd.Env = append(os.Environ(), againDir+"="+dir, journalDir+"="+journal, "GOMAXPROCS=1")
			out, _ := cmd.CombinedOutput()
			switch began := strings.Contains(string(out), "retrying"); {
			case !began && !reached:
				when += skipped // what comes before is of no interest here
				continue
			case !began:
				continue
			case !reached:
				reached = true
				if when > 1 {
					when -= skipped + 1
					continue
				}
			}
			if strings.Contains(string(out), "retried") {
				whole++
				continue
			}
			killed++
			restored += afterRetry(t, fmt.Sprintf("killed at %s %d", call, when), dir, journal)
		}
	}
	if killed == 0 || restored == 0 {
		t.Errorf("%d kills, after %d of them the journal gave letters back", killed, restored)
	}
	t.Logf("%d kills, after %d of them the journal gave letters back", killed, restored)
}

// isThereOnce looks at the folder before anything is started: of each batch there is one.
func isThereOnce(t *testing.T, when string, c terms.Config) {
	t.Helper()
	r, err := OpenStopped(c)
	if err != nil {
		t.Fatal(when, err)
	}
	defer r.Close()
	there := map[string]int{}
	if err := r.Dead(t.Context(), func(l folder.DeadLetter) error { there[idOf(&l.Entry)]++; return nil }); err != nil {
		t.Fatal(when, err)
	}
	dead := uint64(len(there))
	if _, err := r.Entries(t.Context(), folder.Filter{}, func(entries []bridge.Entry) error {
		for i := range entries {
			there[idOf(&entries[i])]++
		}
		return nil
	}); err != nil {
		t.Fatal(when, err)
	}
	for id, n := range there {
		if n != 1 {
			t.Errorf("%s, stopped: %s is there %d times", when, id, n)
		}
	}
	if got := r.Inspect(); len(there) != 30 || got.Dead.Batches != dead || got.Waiting.Batches+dead != 30 {
		t.Errorf("%s, stopped: %d batches, %d letters, %+v", when, len(there), dead, got)
	}
}

// afterRetry starts what [TestAgainChild] left, twice, and looks where each batch is. It
// returns 1 if letters were in the queue.
func afterRetry(t *testing.T, when, dir, journal string) int {
	t.Helper()
	isThereOnce(t, when, leftConfig(dir, journal))
	for start := range 2 {
		q, err := Open(leftConfig(dir, journal), quiet)
		if err != nil {
			t.Fatal(when, err)
		}
		there, named := map[string]int{}, map[string]bool{}
		if err := q.Dead(t.Context(), func(l folder.DeadLetter) error {
			there[idOf(&l.Entry)]++
			return nil
		}); err != nil {
			t.Fatal(when, err)
		}
		q.Online()
		var run string
		last := uint64(0)
		for _, e := range take(t, q, bridge.Backlog) {
			there[idOf(&e)]++
			named[fmt.Sprint(e.Run, e.Seq)] = true
			run, last = e.Run, max(last, e.Seq)
		}
		q.Offline()
		for _, s := range q.Tombstones() {
			for seq := s.First; seq <= s.Last; seq++ {
				named[fmt.Sprint(s.Run, seq)] = true
			}
		}
		for seq := uint64(1); seq <= last; seq++ {
			if !named[fmt.Sprint(run, seq)] {
				t.Errorf("%s, start %d: seq %d of %d is nowhere", when, start, seq, last)
			}
		}
		l := q.Ledger()
		if len(there) != 30 || !l.Balanced() || l.Dead.Batches+l.Waiting.Batches != 30 {
			t.Errorf("%s, start %d: %d batches, ledger %+v", when, start, len(there), l)
		}
		for id, n := range there {
			if n != 1 {
				t.Errorf("%s, start %d: %s is there %d times", when, start, id, n)
			}
		}
		if start == 1 {
			_ = q.Close()
			if last > 30 {
				return 1
			}
			return 0
		}
		copied := copyDir(t, dir) // killed again, without anything to do
		_ = q.Close()
		dir = copied
	}
	return 0
}
