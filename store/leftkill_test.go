//go:build linux

package store

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
	"fieldbridge/store/terms"
)

// TestLosesNothingChild appends as fast as it can, and says how far it got.
func TestLosesNothingChild(t *testing.T) {
	dir := os.Getenv(journalDir + "_KILL")
	if dir == "" {
		t.Skip("only as a child")
	}
	c := leftConfig(dir, os.Getenv(journalDir))
	c.CommitEvery = terms.Pace([]time.Duration{time.Hour, 5 * time.Millisecond}[rand.IntN(2)])
	q, err := Open(c, quiet)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Printf("run %s\n", q.Run())
	if l := q.Ledger(); !l.Balanced() {
		fmt.Printf("bad the ledger at the start: %+v\n", l)
	}
	go func() {
		q.Online()
		for {
			entries, err := q.Next(t.Context(), bridge.Lane(rand.IntN(2)), 20)
			if err != nil {
				return
			}
			rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
			for i := range entries[:len(entries)*3/4] {
				fmt.Printf("cloud %s %d\n", entries[i].Run, entries[i].Seq)
				q.Ack(entries[i].Position)
			}
			for i := len(entries) * 3 / 4; i < len(entries); i++ {
				q.Release(entries[i].Position)
			}
		}
	}()
	for seq := uint64(1); ; seq++ {
		q.Append(content(q.Run(), seq), nil)
		fmt.Fprintf(out, "in %s %d\n", q.Run(), seq)
		out.Flush()
		if seq%20 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// TestKillLosesNothing kills gateways at random instants, commits among them:
// every batch that Append had returned for is there.
func TestKillLosesNothing(t *testing.T) {
	t.Parallel()
	base := tempDir(t)
	dir, journal := filepath.Join(base, "q"), filepath.Join(base, "j")
	in, cloud := map[string]uint64{}, map[string]bool{}
	for range soak(10) {
		env := []string{journalDir + "_KILL=" + dir, journalDir + "=" + journal}
		killChild(t, "TestLosesNothingChild", env, func(line string) {
			kind, rest, _ := strings.Cut(line, " ")
			var run string
			var seq uint64
			fmt.Sscanf(rest, "%s %d", &run, &seq)
			switch kind {
			case "in":
				in[run] = max(in[run], seq)
			case "cloud":
				cloud[rest] = true
			case "run":
			default:
				t.Error(line)
			}
		})
	}
	q := openQueue(t, leftConfig(dir, journal))
	q.Online()
	entries := take(t, q, bridge.Backlog)
	for i := range entries {
		key := fmt.Sprintf("%s %d", entries[i].Run, entries[i].Seq)
		if !sameContent(&entries[i]) {
			t.Errorf("%s has another content", key)
		}
		cloud[key] = true
	}
	total := uint64(0)
	for run, last := range in {
		total += last
		for seq := uint64(1); seq <= last; seq++ {
			if !cloud[fmt.Sprintf("%s %d", run, seq)] {
				t.Errorf("%s %d of %d is lost", run, seq, last)
			}
		}
	}
	for _, r := range q.Runs() {
		if last := in[r.Previous]; r.PreviousLast < last {
			t.Errorf("the record says that %s ended at %d, it got to %d at least", r.Previous, r.PreviousLast, last)
		}
	}
	if l := q.Ledger(); !l.Balanced() || len(q.Tombstones()) > 0 || total == 0 {
		t.Errorf("ledger %+v, tombstones %+v", l, q.Tombstones())
	}
	t.Logf("%d runs, %d batches, none lost", len(in), total)
}

// TestKilledCommits kills a gateway at each write and sync of a commit: all that was
// appended before is there.
func TestKilledCommits(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is missing")
	}
	killed := 0
	for _, call := range []string{"pwrite64", "fdatasync", "fsync"} {
		for when := 1; when <= 14; when++ {
			base := tempDir(t)
			dir, journal := filepath.Join(base, "q"), filepath.Join(base, "j")
			cmd := exec.Command(strace, "-f", "-o", "/dev/null", "-e", "trace="+call, "-e",
				fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, when), needtest.Self(t), "-test.run=^TestLeftChild$")
			cmd.Env = append(os.Environ(), leftDir+"="+dir, journalDir+"="+journal, "FIELDBRIDGE_LEFT_DO=commit")
			out, _ := cmd.CombinedOutput()
			if !strings.Contains(string(out), "appended") {
				continue // killed before
			}
			killed++
			q := openQueue(t, leftConfig(dir, journal))
			if seqs, _ := leftSeqs(t, q); len(seqs) != 100 {
				t.Errorf("killed at %s %d: %d batches are left of 100", call, when, len(seqs))
			}
		}
	}
	if killed == 0 {
		t.Error("no commit was killed")
	}
}

// TestKilledOnFullDisk kills a gateway that has dropped all but the last batch, which is
// acknowledged, and could write what is done but not the tombstones: with a journal the
// dropped ones are there again, without one they are named.
func TestKilledOnFullDisk(t *testing.T) {
	t.Parallel()
	for _, journal := range []bool{true, false} {
		t.Run(fmt.Sprint("journal ", journal), func(t *testing.T) {
			dir, at := dieWith(t, "full")
			if !journal {
				if err := os.RemoveAll(at); err != nil {
					t.Fatal(err)
				}
			}
			q := openQueue(t, leftConfig(dir, at))
			seqs, _ := leftSeqs(t, q)
			named := uint64(0)
			for _, s := range q.Tombstones() {
				named += s.Count.Batches
			}
			if l := q.Ledger(); uint64(len(seqs))+named != 99 || journal && named > 0 || !l.Balanced() {
				t.Errorf("%d batches are left of 99, %d are named, ledger %+v", len(seqs), named, l)
			}
		})
	}
}

// TestCleanStopLeavesNoJournal gives the memory back.
func TestCleanStopLeavesNoJournal(t *testing.T) {
	base := tempDir(t)
	q, err := Open(leftConfig(filepath.Join(base, "q"), filepath.Join(base, "j")), quiet)
	if err != nil {
		t.Fatal(err)
	}
	q.Append(content(q.Run(), 1), nil)
	if files, _ := filepath.Glob(filepath.Join(base, "j", "*")); len(files) != 1 {
		t.Errorf("%v", files)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(base, "j", "*")); len(files) != 0 {
		t.Errorf("%v is left", files)
	}
}
