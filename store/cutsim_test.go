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
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
	"fieldbridge/store/folder"
)

// diskOp is one thing that was done to the disk, or said on stdout.
type diskOp struct {
	what   string // open, write, truncate, sync, rename, unlink, say
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
	case "unlinkat", "unlink":
		op, ok = diskOp{what: "unlink", path: string(texts[0])}, below(string(texts[0]))
	}
	return op, ok
}

// simDisk is a disk with a cache: what was not synced may be missing or torn
// when the power is cut. Names are safe when their folder was synced.
type simDisk struct {
	dir     string
	names   map[string]*simFile // as programs see it
	durable map[string]*simFile // as it is after a cut
	pending []nameChange
}

// nameChange is one in a folder.
type nameChange struct {
	dir string
	do  func(map[string]*simFile)
}

type simFile struct {
	now     []byte
	durable []byte
	pending []diskOp // writes and truncates since the last sync
}

func apply(b []byte, op diskOp) []byte {
	if op.what == "truncate" {
		if int(op.offset) <= len(b) {
			return b[:op.offset]
		}
		return append(b, make([]byte, int(op.offset)-len(b))...)
	}
	if end := int(op.offset) + len(op.data); end > len(b) {
		b = append(b, make([]byte, end-len(b))...)
	}
	copy(b[op.offset:], op.data)
	return b
}

func (d *simDisk) do(op diskOp) {
	change := func(f func(map[string]*simFile)) {
		f(d.names)
		d.pending = append(d.pending, nameChange{filepath.Dir(op.path), f})
	}
	switch op.what {
	case "open":
		if f := d.names[op.path]; f == nil {
			f = &simFile{}
			change(func(m map[string]*simFile) { m[op.path] = f })
		} else if op.offset == -1 {
			f.write(diskOp{what: "truncate"})
		}
	case "write", "truncate":
		if f := d.names[op.path]; f != nil {
			if op.offset == -1 {
				op.offset = int64(len(f.now))
			}
			f.write(op)
		}
	case "sync":
		if op.path == d.dir || op.path == filepath.Join(d.dir, folder.DeadDir) {
			d.pending = slices.DeleteFunc(d.pending, func(c nameChange) bool {
				if c.dir == op.path {
					c.do(d.durable)
				}
				return c.dir == op.path
			})
		} else if f := d.names[op.path]; f != nil {
			f.durable, f.pending = slices.Clone(f.now), nil
		}
	case "rename":
		f := d.names[op.path]
		change(func(m map[string]*simFile) { delete(m, op.path); m[op.to] = f })
	case "unlink":
		change(func(m map[string]*simFile) { delete(m, op.path) })
	}
}

func (f *simFile) write(op diskOp) {
	f.now = apply(f.now, op)
	f.pending = append(f.pending, op)
}

// cut writes to the folder to what the disk may hold after a cut right now.
func (d *simDisk) cut(t *testing.T, rnd *rand.Rand, to string) {
	t.Helper()
	names := maps.Clone(d.durable)
	for _, f := range d.pending[:rnd.IntN(len(d.pending)+1)] {
		f.do(names) // the journal of names is in order
	}
	for path, f := range names {
		b := slices.Clone(f.durable)
		how := rnd.IntN(4) // all, none, each one by chance, torn
		for _, op := range f.pending {
			switch {
			case op.what == "truncate" || how == 0:
				b = apply(b, op)
			case how == 2 && rnd.IntN(2) == 0:
				b = apply(b, op)
			case how == 3:
				for at := 0; at < len(op.data); at += 512 {
					if rnd.IntN(2) == 0 {
						piece := diskOp{what: "write", offset: op.offset + int64(at), data: op.data[at:min(at+512, len(op.data))]}
						b = apply(b, piece)
					}
				}
			}
		}
		name, err := filepath.Rel(d.dir, path)
		if err == nil {
			err = os.MkdirAll(filepath.Join(to, filepath.Dir(name)), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// traceChild runs a test of this binary as a process of its own, with the name of
// a folder in an environment variable, and returns what it did there.
func traceChild(t *testing.T, test, env string) (ops []diskOp, dir string) {
	t.Helper()
	strace := needtest.Program(t, "strace")
	dir = tempDir(t)
	trace := filepath.Join(tempDir(t), "trace")
	cmd := exec.Command(strace, "-f", "-y", "-xx", "-s", "200000", "-o", trace,
		"-e", "trace=openat,pwrite64,write,ftruncate,fsync,fdatasync,/^rename,/^unlink", os.Args[0], "-test.v", "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), env+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		if bytes.Contains(out, []byte(test)) {
			t.Fatalf("%s: %v\n%.2000s", test, err, out)
		}
		needtest.Missing(t, "strace does not work here: %v\n%s", err, out[max(0, len(out)-500):])
	}
	return readTrace(t, trace, dir), dir
}

// TestPowerCuts records every write and sync of a queue and rebuilds what the
// disk may hold after a power cut, at many instants. The queue must start, and
// nothing that was reported safe before the cut may be missing.
func TestPowerCuts(t *testing.T) {
	t.Parallel() // it mostly waits for other processes
	ops, dir := traceChild(t, "TestCutChild", cutDir)
	syncs, written, pages := 0, int64(0), int64(0)
	var countedSyncs, countedBytes int64
	for _, op := range ops {
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
	// What the metrics say of it: a file of dead letters grows by itself now and then.
	t.Logf("%d syncs, %d counted; %d bytes written, %d in pages, %d counted", syncs, countedSyncs, written, pages,
		countedBytes)
	if d := int64(syncs) - countedSyncs; d < 0 || d > 4 || countedBytes < pages*95/100 || countedBytes > pages*105/100 {
		t.Errorf("%d syncs are counted of %d, %d bytes of %d", countedSyncs, syncs, countedBytes, pages)
	}
	if syncs < 50 {
		t.Fatalf("only %d syncs were recorded", syncs)
	}
	rnd := rand.New(rand.NewPCG(rand.Uint64(), 0))
	cuts := make([]int, soak(50))
	for i := range cuts {
		cuts[i] = rnd.IntN(len(ops))
	}
	slices.Sort(cuts)
	disk := &simDisk{dir: dir, names: map[string]*simFile{}, durable: map[string]*simFile{}}
	safe, cloud := map[string]bool{}, map[string]bool{}
	done := 0
	for _, at := range cuts {
		for ; done < at; done++ {
			op := ops[done]
			disk.do(op)
			if words := strings.Fields(string(op.data)); op.what == "say" && len(words) == 3 {
				switch words[0] {
				case "@safe":
					safe[words[1]+" "+words[2]] = true
				case "@cloud":
					cloud[words[1]+" "+words[2]] = true
				}
			}
		}
		afterCut(t, disk, rnd, at, safe, cloud)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d cuts in %d operations with %d syncs; %d batches were reported safe", len(cuts), len(ops), syncs, len(safe))
}

// afterCut starts the queue as a cut leaves it, and drains it.
func afterCut(t *testing.T, disk *simDisk, rnd *rand.Rand, at int, safe, cloud map[string]bool) {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(disk.dir), "fieldbridge-test-cut-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	disk.cut(t, rnd, dir)
	q, err := Open(roomyConfig(dir), quiet)
	if err != nil {
		t.Fatalf("cut at %d: %v", at, err)
	}
	defer q.Close()
	q.Online()
	have, arrived := map[string]bool{}, map[string]bool{}
	judge := audit{t: t}
	for _, e := range drainSlowly(t, q) {
		want := content(e.Run, e.Seq)
		if len(e.Readings) < 3 || e.Readings[0] != want.Readings[0] || e.Readings[1] != want.Readings[1] {
			t.Errorf("cut at %d: %s %d has another content", at, e.Run, e.Seq)
		}
		have[e.Run+" "+itoa(e.Seq)], arrived[e.Run+" "+itoa(e.Seq)] = true, true
	}
	q.Dead(t.Context(), func(l folder.DeadLetter) error {
		have[l.Run+" "+itoa(l.Seq)] = true
		return nil
	})
	judge.named(arrived)
	judge.named(cloud)
	judge.notices(q)
	judge.kept()
	missing := 0
	for key := range safe {
		if !have[key] && !cloud[key] {
			missing++
		}
	}
	if l := q.Ledger(); missing > 0 || !l.Balanced() || l.Damaged != (bridge.Count{}) || len(lostFromDisk(q)) > 0 {
		t.Errorf("cut at %d: %d batches that were safe are missing; ledger %+v, tombstones %+v", at, missing, l,
			q.Tombstones())
	}
}
