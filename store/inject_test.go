package store

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
	"fieldbridge/store/terms"
)

// injectDir is the environment variable that makes the test binary the gateway
// whose writes fail.
const injectDir = "FIELDBRIDGE_INJECT_DIR"

// TestInjectChild is that gateway. Whatever fails on the way, in the end every
// batch is there once.
func TestInjectChild(t *testing.T) {
	dir := os.Getenv(injectDir)
	if dir == "" {
		t.Skip("only as a child of TestFailingWrites")
	}
	c := roomyConfig(dir)
	c.SegmentSize = 128 << 10
	q := openQueue(t, c)
	smallBlocks(t, q, 60) // two for each commit
	const n = 400
	failed, safe := 0, 0
	for i := range uint64(n) {
		b := content(q.Run(), i+1)
		b.Readings = append(b.Readings, noiseOf(int(i), 40).Readings...)
		q.Append(b, func(err error) {
			if err == nil {
				safe++
			}
		})
		if i%4 == 3 && q.Commit(t.Context()) != nil {
			failed++
		}
		if l := q.Ledger(); !l.Balanced() || l.Accepted.Batches != i+1 {
			t.Fatalf("ledger: %+v", l)
		}
	}
	for try := 0; q.Commit(t.Context()) != nil; try++ {
		if try > 200 {
			t.Fatal("writing does not resume")
		}
	}
	if failed == 0 {
		t.Fatal("nothing failed")
	}
	if safe != n || len(q.Health()) > 0 {
		t.Errorf("%d of %d were reported safe: %+v", safe, n, q.Health())
	}
	again := openQueue(t, c2(copyDir(t, dir), c))
	for _, q := range []*Queue{again, q} {
		q.Online()
		var entries []bridge.Entry
		for try := 0; q.Ledger().Waiting.Batches > 0 && try < 200; try++ {
			got := take(t, q, bridge.Backlog)
			ackAll(q, got)
			entries = append(entries, got...)
			q.Commit(t.Context()) // which may fail still: strace counts by thread
		}
		for i := range entries {
			if e := &entries[i]; e.Seq != uint64(i+1) || e.Readings[1] != bridge.Reading(content(e.Run, e.Seq).Readings[1]) {
				t.Fatalf("entry %d is seq %d", i, e.Seq)
			}
		}
		if l := q.Ledger(); len(entries) != n || l.Damaged.Batches > 0 || l.Dropped.Batches > 0 || !l.Balanced() ||
			len(q.Tombstones()) > 0 {
			t.Errorf("%d entries, ledger %+v, tombstones %+v", len(entries), l, q.Tombstones())
		}
	}
	t.Logf("%d commits failed", failed)
}

func c2(dir string, c terms.Config) terms.Config {
	d := roomyConfig(dir)
	d.SegmentSize = c.SegmentSize
	return d
}

// TestFailingWrites makes system calls fail, some in a row and then again.
func TestFailingWrites(t *testing.T) {
	t.Parallel() // it mostly waits for other processes
	strace := needtest.Program(t, "strace")
	for _, inject := range []string{
		"fdatasync:error=EIO:when=30..33",
		"fdatasync:error=EIO:when=25+17",
		"pwrite64:error=EIO:when=40..44",
		"pwrite64:error=ENOSPC:when=50+61",
		"fsync:error=EIO:when=3..9",
		"renameat:error=EIO:when=3..6",
	} {
		t.Run(inject, func(t *testing.T) {
			dir := filepath.Join(tempDir(t), "q")
			call, _, _ := strings.Cut(inject, ":")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cmd := exec.CommandContext(ctx, strace, "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace="+call,
				"-e", "inject="+inject, needtest.Self(t), "-test.v", "-test.run=^TestInjectChild$")
			cmd.Env = append(os.Environ(), injectDir+"="+dir)
			out, err := cmd.CombinedOutput()
			if err != nil {
				if strings.Contains(string(out), "TestInjectChild") {
					t.Fatalf("%v\n%.2000s", err, out)
				}
				needtest.Missing(t, "strace does not work here: %v\n%.500s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "commits failed") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}
