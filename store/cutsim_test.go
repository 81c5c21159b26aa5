package store

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
	"fieldbridge/store/folder"
	"fieldbridge/store/state"
)

// diskOp is one thing that was done to the disk, or said on stdout.
type diskOp struct {
	what   string // open, write, truncate, sync, rename, mkdir, unlink, say
	path   string
	to     string // of a rename
	data   []byte // of a write; nil with open is a new file
	offset int64  // -1: at the end
}

var straceFD = regexp.MustCompile(`^\d+<([^>]*)>`)

// splitCall cuts a line as `name(arguments) = result` of a call that succeeded.
func splitCall(line string) (call, args string, ok bool) {
	call, rest, opened := strings.Cut(line, "(")
	end := strings.LastIndex(rest, " = ")
	if !opened || end < 0 || strings.HasPrefix(rest[end+3:], "-") {
		return "", "", false
	}
	args, ok = strings.CutSuffix(strings.TrimRight(rest[:end], " "), ")")
	return call, args, ok
}

// quoted returns the first two texts in args, which strace writes in hex.
func quoted(args string) (texts [][]byte) {
	for len(texts) < 2 {
		_, rest, found := strings.Cut(args, `"`)
		text, after, closed := strings.Cut(rest, `"`)
		if !found || !closed {
			break
		}
		texts, args = append(texts, unhex(text)), after
	}
	return texts
}

func unhex(s string) []byte {
	b, _ := hex.DecodeString(strings.ReplaceAll(s, `\x`, ""))
	return b
}

// readTrace returns what strace saw below dir, in the order in which it ended.
func readTrace(t *testing.T, path, dir string) (ops []diskOp) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	begun := map[string]string{} // by thread
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		thread, line, _ := strings.Cut(lines.Text(), " ")
		line = strings.TrimSpace(line)
		if before, ok := strings.CutSuffix(line, " <unfinished ...>"); ok {
			begun[thread] = before
			continue
		}
		if strings.HasPrefix(line, "<... ") {
			_, rest, _ := strings.Cut(line, " resumed>")
			line = begun[thread] + rest
		}
		if op, ok := parseCall(line, dir); ok {
			ops = append(ops, op)
		}
	}
	return ops
}

func parseCall(line, dir string) (op diskOp, ok bool) {
	call, args, ok := splitCall(line)
	if !ok {
		return op, false
	}
	ok = false
	fd := ""
	if x := straceFD.FindStringSubmatch(args); x != nil {
		fd = string(unhex(x[1]))
	}
	texts := quoted(args)
	below := func(p string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }
	switch call {
	case "openat":
		ok = strings.Contains(args, "O_CREAT") && below(string(texts[0]))
		op = diskOp{what: "open", path: string(texts[0])}
		if strings.Contains(args, "O_TRUNC") {
			op.offset = -1
		}
	case "write":
		if strings.HasPrefix(args, "1<") {
			return diskOp{what: "say", data: texts[0]}, bytes.HasPrefix(texts[0], []byte("@"))
		}
		op, ok = diskOp{what: "write", path: fd, data: texts[0], offset: -1}, below(fd)
	case "pwrite64":
		op, ok = diskOp{what: "write", path: fd, data: texts[0]}, below(fd)
		fmt.Sscan(args[strings.LastIndex(args, ",")+1:], &op.offset)
	case "ftruncate":
		op, ok = diskOp{what: "truncate", path: fd}, below(fd)
		fmt.Sscan(args[strings.LastIndex(args, ",")+1:], &op.offset)
	case "fsync", "fdatasync":
		op, ok = diskOp{what: "sync", path: fd}, below(fd)
	case "renameat", "renameat2", "rename":
		op, ok = diskOp{what: "rename", path: string(texts[0]), to: string(texts[1])}, below(string(texts[0]))
	case "mkdirat", "mkdir":
		op, ok = diskOp{what: "mkdir", path: string(texts[0])}, below(string(texts[0]))
	case "unlinkat", "unlink":
		op, ok = diskOp{what: "unlink", path: string(texts[0])}, below(string(texts[0]))
	}
	return op, ok
}

// traceChild runs a test of this binary as a process of its own, with the name of a
// new folder in an environment variable, and returns what it did there.
//
// A test that fails tells how it is played again: from the same record, which is
// kept then, and with the same seed.
func traceChild(t *testing.T, test, env string) (ops []diskOp, dir string) {
	t.Helper()
	if kept := os.Getenv("FIELDBRIDGE_CUT_TRACE"); kept != "" {
		name, err := os.ReadFile(kept + ".dir")
		if err != nil {
			t.Fatal(err)
		}
		return readTrace(t, kept, string(name)), string(name)
	}
	dir = tempDir(t)
	trace := traceIn(t, test, env, dir)
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		kept := filepath.Join(os.TempDir(), "fieldbridge-"+test+".trace")
		data, err := os.ReadFile(trace)
		if err == nil {
			err = os.WriteFile(kept, data, 0o600)
		}
		if err == nil {
			err = os.WriteFile(kept+".dir", []byte(dir), 0o600)
		}
		t.Logf("the record is kept for FIELDBRIDGE_CUT_TRACE=%s, error %v", kept, err)
	})
	return readTrace(t, trace, dir), dir
}

// traceIn is traceChild in a folder that is there; it returns the name of the record.
func traceIn(t *testing.T, test, env, dir string) (trace string) {
	t.Helper()
	strace := needtest.Program(t, "strace")
	trace = filepath.Join(tempDir(t), "trace")
	cmd := exec.Command(strace, "-f", "--seccomp-bpf", "-y", "-xx", "-s", "200000", "-o", trace, "-e",
		"trace=openat,pwrite64,write,ftruncate,fsync,fdatasync,/^rename,/^unlink,/^mkdir",
		needtest.Self(t), "-test.v", "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), env+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		if bytes.Contains(out, []byte(test)) {
			t.Fatalf("%s: %v\n%.2000s", test, err, out)
		}
		needtest.Missing(t, "strace does not work here: %v\n%s", err, out[max(0, len(out)-500):])
	}
	return trace
}

// cutRand returns what chance does, by a seed that a failure tells.
func cutRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if given := os.Getenv("FIELDBRIDGE_CUT_SEED"); given != "" {
		n, err := strconv.ParseUint(given, 10, 64)
		if err != nil {
			t.Fatalf("FIELDBRIDGE_CUT_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("FIELDBRIDGE_CUT_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// heard is what the gateway has said until a cut.
type heard struct {
	safe, cloud map[string]bool // by "run seq"
	put         uint64          // the state
}

func newHeard() *heard { return &heard{safe: map[string]bool{}, cloud: map[string]bool{}} }

func (h *heard) hear(op *diskOp) {
	words := strings.Fields(string(op.data))
	if op.what != "say" || len(words) != 3 {
		return
	}
	switch words[0] {
	case "@safe":
		h.safe[words[1]+" "+words[2]] = true
	case "@cloud":
		h.cloud[words[1]+" "+words[2]] = true
	case "@put":
		fmt.Sscan(words[2], &h.put)
	}
}

// TestPowerCuts records every write and sync of a queue and its state and rebuilds
// what the disk may hold after a power cut, at many instants: of a new folder, of
// a life, of a start after another cut, and of a repair. The queue must start, and
// nothing that was reported safe before the cut may be missing.
func TestPowerCuts(t *testing.T) {
	t.Parallel() // it mostly waits for other processes
	rnd := cutRand(t)
	ops, dir := traceChild(t, "TestCutChild", cutDir)
	countSyncs(t, ops, cutQueue(dir))
	cuts := make([]int, soak(18))
	for i := range cuts {
		cuts[i] = rnd.IntN(len(ops))
		if i%5 == 0 {
			cuts[i] = rnd.IntN(min(len(ops), 80)) // the folder is new
		}
	}
	for i, op := range ops { // a segment goes
		if op.what == "unlink" && len(cuts) < soak(18)+8 {
			cuts = append(cuts, i+1)
		}
	}
	slices.Sort(cuts)
	disk := newSimDisk(dir)
	says := newHeard()
	done := 0
	for i, at := range cuts {
		for ; done < at; done++ {
			disk.do(ops[done])
			says.hear(&ops[done])
		}
		to := cutTo(t, disk, rnd)
		what := fmt.Sprintf("cut %d at %d", i, at)
		if i > len(cuts)/4 && i%(max(4, len(cuts)/4)) == 1 {
			cutAgain(t, rnd, to, what, says)
		} else {
			afterCut(t, to, what, says, false)
		}
		os.RemoveAll(to)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d cuts in %d operations; %d batches were reported safe", len(cuts), len(ops), len(says.safe))
}

// countSyncs compares what was done with what the metrics say of it: a file of dead
// letters grows by itself now and then, and the folder of the state is made.
func countSyncs(t *testing.T, ops []diskOp, dir string) {
	t.Helper()
	var syncs, written, pages, countedSyncs, countedBytes int64
	for _, op := range ops {
		if op.what != "say" && (op.path != dir && !strings.HasPrefix(op.path, dir+"/") ||
			strings.HasPrefix(op.path, dir+"/state")) {
			continue
		}
		switch op.what {
		case "sync":
			syncs++
		case "write":
			written += int64(len(op.data))
			pages += (int64(len(op.data)) + pageSize - 1) / pageSize * pageSize
		case "say":
			if words := strings.Fields(string(op.data)); words[0] == "@counted" {
				var bytes, n int64
				fmt.Sscan(words[1]+" "+words[2], &bytes, &n)
				countedBytes, countedSyncs = countedBytes+bytes, countedSyncs+n
			}
		}
	}
	t.Logf("%d syncs, %d counted; %d bytes written, %d in pages, %d counted", syncs, countedSyncs, written, pages,
		countedBytes)
	if d := syncs - countedSyncs; d < 0 || d > 6 || countedBytes < pages*95/100 || countedBytes > pages*105/100 {
		t.Errorf("%d syncs are counted of %d, %d bytes of %d", countedSyncs, syncs, countedBytes, pages)
	}
	if syncs < 50 {
		t.Fatalf("only %d syncs were recorded", syncs)
	}
}

// cutAgain cuts the power once more while the gateway starts after a cut, and, with
// a damaged segment, while it repairs.
func cutAgain(t *testing.T, rnd *rand.Rand, dir, what string, says *heard) {
	t.Helper()
	damaged := rnd.IntN(2) == 0 && damageOldest(t, rnd, cutQueue(dir))
	disk := newSimDisk(dir)
	disk.load(t)
	ops := readTrace(t, traceIn(t, "TestCutRestartChild", restartDir, dir), dir)
	again := &heard{maps.Clone(says.safe), maps.Clone(says.cloud), says.put}
	cuts := make([]int, soak(18)/5)
	for i := range cuts {
		cuts[i] = rnd.IntN(len(ops) + 1)
	}
	slices.Sort(cuts)
	done := 0
	for _, at := range cuts {
		for ; done < at; done++ {
			disk.do(ops[done])
			again.hear(&ops[done])
		}
		to := cutTo(t, disk, rnd)
		afterCut(t, to, fmt.Sprintf("%s, started and cut at %d of %d, damaged %v", what, at, len(ops), damaged), again,
			damaged)
		os.RemoveAll(to)
	}
}

// damageOldest flips bits of the oldest segment; it reports whether there is one.
func damageOldest(t *testing.T, rnd *rand.Rand, dir string) bool {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "*"+filepath.Ext(folder.SegmentPath("", 1))))
	if len(names) == 0 {
		return false
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b[rnd.IntN(len(b))] ^= 0x10
	}
	if err := os.WriteFile(names[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	return true
}

// cutTo returns a new folder as a cut leaves it.
func cutTo(t *testing.T, disk *simDisk, rnd *rand.Rand) string {
	t.Helper()
	to, err := os.MkdirTemp(filepath.Dir(disk.dir), "fieldbridge-test-cut-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(to) })
	disk.cut(t, rnd, to)
	return to
}

// afterCut starts the queue as a cut leaves it, and drains it. What was damaged
// beside the cut may be missing, if it is named.
func afterCut(t *testing.T, dir, what string, says *heard, damaged bool) {
	t.Helper()
	q, err := Open(roomyConfig(cutQueue(dir)), quiet)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer q.Close()
	q.Online()
	have, arrived := map[string]bool{}, map[string]bool{}
	judge := audit{t: t}
	for _, e := range drainSlowly(t, q) {
		want := content(e.Run, e.Seq)
		if len(e.Readings) < 3 || e.Readings[0] != want.Readings[0] || e.Readings[1] != want.Readings[1] {
			t.Errorf("%s: %s %d has another content", what, e.Run, e.Seq)
		}
		have[e.Run+" "+itoa(e.Seq)], arrived[e.Run+" "+itoa(e.Seq)] = true, true
	}
	q.Dead(t.Context(), func(l folder.DeadLetter) error {
		have[l.Run+" "+itoa(l.Seq)] = true
		return nil
	})
	judge.named(arrived)
	judge.named(says.cloud)
	judge.notices(q)
	judge.kept()
	missing := 0
	for key := range says.safe {
		if !have[key] && !says.cloud[key] {
			missing++
		}
	}
	l := q.Ledger()
	lost := missing > 0 || l.Damaged != (bridge.Count{}) || len(lostFromDisk(q)) > 0
	if !l.Balanced() || lost && !damaged {
		t.Errorf("%s: %d batches that were safe are missing; ledger %+v, tombstones %+v", what, missing, l,
			q.Tombstones())
	}
	var put uint64
	value, err := state.Read(cutQueue(dir)).Get("counter")
	if fmt.Sscan(string(value), &put); err != nil || put < says.put {
		t.Errorf("%s: the state has %q, error %v; %d was put", what, value, err, says.put)
	}
}
