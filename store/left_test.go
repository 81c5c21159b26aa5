//go:build linux

package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/needtest"
	"fieldbridge/store/terms"
)

// journalDir is the environment variable with the journal's folder of a child.
const journalDir = "FIELDBRIDGE_JOURNAL_DIR"

// leftDir is the environment variable that makes the test binary a gateway that
// kills itself.
const leftDir = "FIELDBRIDGE_LEFT_DIR"

func leftConfig(dir, journal string) terms.Config {
	c := testConfig(dir)
	c.Journal = journal
	c.SegmentSize, c.Origin.Gateway = 1<<20, "killed"
	return c
}

// dieWith makes a process that leaves what do does in a journal, and returns the
// folders.
func dieWith(t *testing.T, what string) (dir, journal string) {
	t.Helper()
	base := tempDir(t)
	dir, journal = filepath.Join(base, "q"), filepath.Join(base, "j")
	die(t, what, dir, journal)
	return dir, journal
}

func die(t *testing.T, what, dir, journal string) {
	t.Helper()
	cmd := exec.Command(needtest.Self(t), "-test.run=^TestLeftChild$")
	cmd.Env = append(os.Environ(), leftDir+"="+dir, journalDir+"="+journal, "FIELDBRIDGE_LEFT_DO="+what)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("the child ended well\n%s", out)
	}
	if strings.Contains(string(out), "--- FAIL") {
		t.Fatalf("%s", out)
	}
}

// TestLeftChild is the gateway that leaves 100 batches: 10 are on disk, of the
// others five are acknowledged, one is buried, and one committed with a sensor.
func TestLeftChild(t *testing.T) {
	dir := os.Getenv(leftDir)
	if dir == "" {
		t.Skip("only as a child")
	}
	q, err := Open(leftConfig(dir, os.Getenv(journalDir)), quiet)
	if err != nil {
		t.Fatal(err)
	}
	do := os.Getenv("FIELDBRIDGE_LEFT_DO")
	if do == "start" {
		fmt.Println("started")
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	q.Online()
	for seq := uint64(1); seq <= 100; seq++ {
		q.Append(content(q.Run(), seq), nil)
		if seq == 100 && do == "commit" {
			fmt.Println("appended")
			_ = q.Commit(t.Context())
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		if seq == 10 && do != "commit" {
			if err := q.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if do == "bury" || do == "drop" { // the keeper is held up by a slow disk
		stuck := make(chan struct{})
		go func() { _ = q.keep.ask(t.Context(), func() error { close(stuck); select {} }) }()
		<-stuck
	}
	if do == "drop" {
		q.keep.dropPending(q.mem.End())
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	if do == "full" { // what is done can be written, where it was before, and no new file
		entries := take(t, q, bridge.Fresh)
		q.Ack(entries[len(entries)-1].Position)
		for i := range entries[:len(entries)-1] {
			q.Release(entries[i].Position)
		}
		_ = q.keep.ask(t.Context(), func() error {
			blockIndex(t, dir)
			q.keep.dropPending(q.mem.End())
			q.ackDue = 1
			if err := q.keep.record(true); err != nil {
				t.Error(err)
			}
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		})
	}
	entries := take(t, q, bridge.Fresh)
	if do == "bury" {
		for i := range entries {
			q.Bury("no", entries[i].Position)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	for _, i := range []int{20, 21, 50, 98, 99} {
		q.Ack(entries[i].Position)
	}
	switch do {
	case "all done":
		ackAll(q, entries)
	case "panic":
		go func() { panic("an error of ours") }()
		select {}
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// leftSeqs returns the seqs that wait in a queue and were of run.
func leftSeqs(t *testing.T, q *Queue) (seqs map[uint64]int, run string) {
	t.Helper()
	q.Online()
	seqs = make(map[uint64]int)
	entries := take(t, q, bridge.Backlog)
	for i := range entries {
		e := &entries[i]
		if !sameContent(e) {
			t.Errorf("%s %d has another content", e.Run, e.Seq)
		}
		seqs[e.Seq]++
		run = e.Run
	}
	q.Offline()
	return seqs, run
}

// isLeft checks that what [TestLeftChild] left is there, once.
func isLeft(t *testing.T, q *Queue) {
	t.Helper()
	seqs, run := leftSeqs(t, q)
	for seq := uint64(1); seq <= 100; seq++ {
		acked := seq == 21 || seq == 22 || seq == 51 || seq == 99 || seq == 100
		if n := seqs[seq]; n != 1 && !acked || acked && n != 0 {
			t.Errorf("seq %d is there %d times", seq, n)
		}
	}
	l := q.Ledger()
	if !l.Balanced() || l.Restored.Batches != 95 || l.Waiting.Batches != 95 {
		t.Errorf("ledger %+v", l)
	}
	if s := q.Tombstones(); len(s) > 0 {
		t.Errorf("tombstones %+v", s)
	}
	var known uint64
	for _, r := range q.Runs() {
		if r.Previous == run {
			known = max(known, r.PreviousLast)
		}
	}
	if known != 100 {
		t.Errorf("the run record says that the killed run ended at %d: %+v", known, q.Runs())
	}
}

// TestKilledLeavesAll kills a gateway, and lets one panic: all that was in memory
// is there at the next start, with its run and seqs, and it is on disk.
func TestKilledLeavesAll(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"kill", "panic"} {
		t.Run(how, func(t *testing.T) {
			dir, journal := dieWith(t, how)
			q := openQueue(t, leftConfig(dir, journal))
			if m := q.Status().Memory; m.Batches != 0 {
				t.Errorf("%d batches are in memory, not on disk", m.Batches)
			}
			isLeft(t, q)
		})
	}
}

// TestKilledBeforeDiskKnows kills a gateway whose disk has not yet taken the dead
// letters, or the tombstones of what was dropped: the batches are there.
func TestKilledBeforeDiskKnows(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"bury", "drop"} {
		t.Run(what, func(t *testing.T) {
			dir, journal := dieWith(t, what)
			q := openQueue(t, leftConfig(dir, journal))
			seqs, _ := leftSeqs(t, q)
			if l := q.Ledger(); len(seqs) != 100 || !l.Balanced() || l.Waiting.Batches != 100 {
				t.Errorf("%d batches are left of 100, ledger %+v", len(seqs), l)
			}
		})
	}
}

// TestKilledWithNothingLeft knows the end of a run that was killed when all of it
// was acknowledged.
func TestKilledWithNothingLeft(t *testing.T) {
	t.Parallel()
	dir, journal := dieWith(t, "all done")
	q := openQueue(t, leftConfig(dir, journal))
	runs := q.Runs()
	if last := runs[len(runs)-1]; last.PreviousLast != 100 {
		t.Errorf("the run record says that the killed run ended at %d", last.PreviousLast)
	}
	if s := q.Tombstones(); len(s) > 0 {
		t.Errorf("tombstones %+v", s)
	}
	if seqs, _ := leftSeqs(t, q); len(seqs) != 10 { // on disk, their record was not due yet
		t.Errorf("%d batches are there again", len(seqs))
	}
}

// TestKilledStarts kills the start after a kill at each of its system calls, twice
// in a row. It changes nothing.
func TestKilledStarts(t *testing.T) {
	t.Parallel()
	strace := needtest.Program(t, "strace")
	dir, journal := dieWith(t, "kill")
	saved := map[string][]byte{}
	for _, root := range []string{dir, journal} {
		files, _ := filepath.Glob(filepath.Join(root, "*"))
		for _, f := range files {
			var err error
			if saved[f], err = os.ReadFile(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	restore := func() {
		for _, root := range []string{dir, journal} {
			os.RemoveAll(root)
			if err := os.Mkdir(root, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for f, data := range saved {
			if err := os.WriteFile(f, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	calls := "openat,pwrite64,write,fsync,fdatasync,rename,renameat,unlinkat,ftruncate,fallocate,mmap"
	killed := 0
	const patience = 4 // strace counts by thread: a start that survives may not be the last
	for _, call := range strings.Split(calls, ",") {
		missed := 0
		for when := 1; when < 200 && missed < patience; when++ {
			restore()
			survived := 0
			for range 2 {
				if !killAt(t, strace, call, when, dir, journal) {
					survived++
				}
			}
			q, err := Open(leftConfig(dir, journal), quiet)
			if err != nil {
				t.Fatal(err)
			}
			isLeft(t, q)
			q.Close()
			if t.Failed() {
				t.Fatalf("killed at %s %d", call, when)
			}
			if survived == 2 {
				missed++
				continue
			}
			killed++
			if testing.Short() {
				when += 5
			}
			when += stride(call, when)
		}
	}
	if killed < 20 && !testing.Short() {
		t.Errorf("only %d starts were killed", killed)
	}
	t.Logf("%d pairs of starts were killed", killed)
}

// stride leaves out most of the calls that the runtime and the tests make.
func stride(call string, when int) int {
	if call == "mmap" || call == "openat" {
		return 3
	}
	return 0
}

// killAt starts the child and kills it at its nth call; false if it got further.
func killAt(t *testing.T, strace, call string, n int, dir, journal string) bool {
	t.Helper()
	cmd := exec.Command(strace, "-f", "-o", "/dev/null", "-e", "trace="+call, "-e",
		fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, n), needtest.Self(t), "-test.run=^TestLeftChild$")
	cmd.Env = append(os.Environ(), leftDir+"="+dir, journalDir+"="+journal, "FIELDBRIDGE_LEFT_DO=start")
	out, _ := cmd.CombinedOutput()
	if strings.Contains(string(out), "strace:") {
		t.Skipf("strace does not work here: %.300s", out)
	}
	return !strings.Contains(string(out), "started")
}

// TestForeignJournal sets aside what is not this queue's, and says so.
func TestForeignJournal(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, dir, file string){
		"queue": func(t *testing.T, dir, file string) { flipHeader(t, file, 16) },
		"boot":  func(t *testing.T, dir, file string) { flipHeader(t, file, 32) },
		"magic": func(t *testing.T, dir, file string) { flipHeader(t, file, 0) },
		"run":   func(t *testing.T, dir, file string) { flipHeader(t, file, 80) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, journal := dieWith(t, "kill")
			files, _ := filepath.Glob(filepath.Join(journal, "*.journal"))
			if len(files) != 1 {
				t.Fatal(files)
			}
			change(t, dir, files[0])
			q, err := Open(leftConfig(dir, journal), quiet)
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			if !q.conditions.Has(condition.QueueJournal, subject) {
				t.Errorf("it is not told: %+v", q.Health())
			}
			if _, err := os.Stat(files[0] + ".aside"); err != nil {
				t.Error(err)
			}
			if n := q.Ledger().Waiting.Batches; n != 10 {
				t.Errorf("%d batches wait, 10 were on disk", n)
			}
			q.Append(content(q.Run(), 1), nil)
			if q.journal.Err() != nil || q.journal.Size() == 0 {
				t.Error("the journal is not used afterwards")
			}
		})
	}
}

// flipHeader changes a byte of a journal's header and makes its checksum right.
func flipHeader(t *testing.T, file string, at int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 1
	binary.LittleEndian.PutUint32(data[48:], crc32.Checksum(data[:48], crc32.MakeTable(crc32.Castagnoli)))
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTornJournal reads a journal up to the record that was being written.
func TestTornJournal(t *testing.T) {
	t.Parallel()
	dir, journal := dieWith(t, "kill")
	files, _ := filepath.Glob(filepath.Join(journal, "*.journal"))
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(data, []byte("noise"))
	data[at] ^= 1
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	q := openQueue(t, leftConfig(dir, journal))
	seqs, _ := leftSeqs(t, q)
	for seq := uint64(1); seq <= 99; seq++ {
		if n := seqs[seq]; n != 1 { // with it went the note of what is acknowledged
			t.Errorf("seq %d is there %d times", seq, n)
		}
	}
	if l := q.Ledger(); !l.Balanced() || len(seqs) != 99 {
		t.Errorf("%d batches, ledger %+v", len(seqs), l)
	}
}

// TestJournalMoves restores what lies where the setting was before, or with the
// journal turned off.
func TestJournalMoves(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"off", "elsewhere"} {
		t.Run(to, func(t *testing.T) {
			dir, journal := dieWith(t, "kill")
			setting := to
			if to != "off" {
				setting = filepath.Join(filepath.Dir(journal), to)
			}
			q, err := Open(leftConfig(dir, setting), quiet)
			if err != nil {
				t.Fatal(err)
			}
			isLeft(t, q)
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			if left, _ := filepath.Glob(filepath.Join(journal, "*")); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
			q, err = Open(leftConfig(dir, setting), quiet)
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			if moved, _ := filepath.Glob(filepath.Join(setting, "*.journal")); to != "off" && len(moved) != 1 {
				t.Errorf("%v is in the new folder", moved)
			}
		})
	}
}

// TestNoRoomForJournal runs without one when the tmpfs is too small or the folder
// is on a disk.
func TestNoRoomForJournal(t *testing.T) {
	t.Parallel()
	small := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "none", small).CombinedOutput(); err != nil {
		t.Skipf("mount: %v: %s (it needs root)", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", small).Run() })
	for name, dir := range map[string]string{"full": small, "disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			q := openQueue(t, leftConfig(filepath.Join(tempDir(t), "q"), dir))
			if !q.conditions.Has(condition.QueueJournal, subject) {
				t.Errorf("it is not told: %+v", q.Health())
			}
			q.Append(content(q.Run(), 1), nil)
			if l := q.Ledger(); l.Waiting.Batches != 1 || q.journal.Size() != 0 {
				t.Errorf("ledger %+v, journal %d", l, q.journal.Size())
			}
		})
	}
}

// TestFullJournal commits at once what does not fit.
func TestFullJournal(t *testing.T) {
	base := tempDir(t)
	q := openQueue(t, leftConfig(filepath.Join(base, "q"), filepath.Join(base, "j")))
	long := strings.Repeat("x", 100_000)
	for range 60 {
		q.Append(bridge.Batch{Device: "d", At: time.UnixMilli(1), Readings: []bridge.Reading{
			{Point: "p", Value: bridge.String(long)}}}, nil)
	}
	deadline := time.After(30 * time.Second)
	for q.Status().Commits == 0 {
		select {
		case <-deadline:
			t.Fatal("nothing is committed")
		case <-time.After(time.Millisecond):
		}
	}
	if err := q.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.journal.Full() {
		t.Error("it stays full")
	}
}

// TestCopyBesideIt lets a copy of the folder run beside it: they share no journal.
func TestCopyBesideIt(t *testing.T) {
	base := tempDir(t)
	j := filepath.Join(base, "j")
	q := openQueue(t, leftConfig(filepath.Join(base, "q"), j))
	q.Append(content(q.Run(), 1), nil)
	other := openQueue(t, leftConfig(copyDir(t, q.shelf.Dir), j))
	if !other.conditions.Has(condition.QueueJournal, subject) || other.journal.Size() != 0 {
		t.Errorf("it takes the other's journal: %+v", other.Health())
	}
	if n := other.Ledger().Restored.Batches; n != 0 {
		t.Errorf("it takes %d batches of the other", n)
	}
}
