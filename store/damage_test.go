package store

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/folder"
	"fieldbridge/store/segment"
)

// damageCase does something to the only sealed segment of a queue of
// damageBatches batches in damageBlocks blocks.
type damageCase struct {
	name   string
	damage func(t *testing.T, path string)
	// survive is the least number of batches that must still be handed out.
	survive int
}

const (
	damageBlocks  = 30
	damagePer     = 10 // batches in a block
	damageBatches = damageBlocks * damagePer
)

const pageSize = segment.PageSize

func withFile(t *testing.T, path string, f func(f *os.File, size int64)) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	f(file, info.Size())
}

// pages returns the page numbers of a file whose flags are among flags.
func pages(t *testing.T, path string, flags ...uint16) (out []int64) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for p := 0; (p+1)*pageSize <= len(data); p++ {
		b := data[p*pageSize:]
		for _, f := range flags {
			if binary.LittleEndian.Uint64(b) == uint64(p) && binary.LittleEndian.Uint16(b[8:]) == f {
				out = append(out, int64(p))
			}
		}
	}
	if len(out) == 0 {
		t.Fatalf("no pages with flags %v", flags)
	}
	return out
}

const (
	pageBranch, pageLeaf, pageMeta, pageFreelist = 0x01, 0x02, 0x04, 0x10
)

func zero(offset, n int64) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		withFile(t, path, func(f *os.File, _ int64) { f.WriteAt(make([]byte, n), offset) })
	}
}

func flip(offset int64) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		withFile(t, path, func(f *os.File, _ int64) {
			var b [1]byte
			f.ReadAt(b[:], offset)
			b[0] ^= 0x41
			f.WriteAt(b[:], offset)
		})
	}
}

// onPage does something to the nth page of a kind; negative counts from the end.
func onPage(kind uint16, n int, do func(f *os.File, offset int64)) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		all := pages(t, path, kind)
		p := all[(n+len(all))%len(all)]
		withFile(t, path, func(f *os.File, _ int64) { do(f, p*pageSize) })
	}
}

func zeroPage(f *os.File, offset int64) { f.WriteAt(make([]byte, pageSize), offset) }
func randomPage(f *os.File, offset int64) {
	b := make([]byte, pageSize)
	for i := range b {
		b[i] = byte(i*7 + i/256)
	}
	f.WriteAt(b, offset)
}
func flipAt(n int64) func(f *os.File, offset int64) {
	return func(f *os.File, offset int64) {
		var b [1]byte
		f.ReadAt(b[:], offset+n)
		b[0] ^= 0x10
		f.WriteAt(b[:], offset+n)
	}
}

func truncateTo(size func(int64) int64) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		withFile(t, path, func(f *os.File, n int64) { f.Truncate(size(n)) })
	}
}

// used returns how long the file must be, by its meta pages.
func used(t *testing.T, path string) (n int64) {
	withFile(t, path, func(f *os.File, _ int64) {
		b := make([]byte, 2*pageSize)
		f.ReadAt(b, 0)
		for i := range 2 { // the larger number of pages in use
			n = max(n, int64(binary.LittleEndian.Uint64(b[i*pageSize+16+40:]))*pageSize)
		}
	})
	return n
}

func damages() []damageCase {
	const all, most, half, none = damageBatches, damageBatches - 8*damagePer, damageBatches / 3, 0
	cases := []damageCase{
		{"none", func(*testing.T, string) {}, all},
		{"empty file", truncateTo(func(int64) int64 { return 0 }), none},
		{"cut to 1 byte", truncateTo(func(int64) int64 { return 1 }), none},
		{"cut within the first meta", truncateTo(func(int64) int64 { return 100 }), none},
		{"cut to one page", truncateTo(func(int64) int64 { return pageSize }), none},
		{"cut to two pages", truncateTo(func(int64) int64 { return 2 * pageSize }), none},
		{"cut to three pages", truncateTo(func(int64) int64 { return 3 * pageSize }), none},
		{"cut to four pages", truncateTo(func(int64) int64 { return 4 * pageSize }), none},
		{"cut to a third", truncateTo(func(int64) int64 { return 12 * pageSize }), none},
		{"cut to half", func(t *testing.T, path string) { os.Truncate(path, used(t, path)/2) }, half / 2},
		{"last page cut off", func(t *testing.T, path string) { os.Truncate(path, used(t, path)-pageSize) }, most},
		{"last byte cut off", func(t *testing.T, path string) { os.Truncate(path, used(t, path)-1) }, most},
		{"cut after what is used", func(t *testing.T, path string) { os.Truncate(path, used(t, path)) }, all},
		{"first meta zeroed", zero(0, pageSize), all},
		{"second meta zeroed", zero(pageSize, pageSize), all},
		{"both metas zeroed", zero(0, 2*pageSize), all},
		{"meta magic flipped", flip(16), all},
		{"meta checksum flipped", flip(16 + 56), all},
		{"second meta checksum flipped", flip(pageSize + 16 + 60), all},
		{"both meta checksums flipped",
			func(t *testing.T, path string) { flip(16+56)(t, path); flip(pageSize+16+56)(t, path) }, all},
		{"meta page size flipped", flip(16 + 9), all},
		{"metas swapped", swap(0, 1), none},
		{"freelist zeroed", onPage(pageFreelist, -1, zeroPage), all},
		{"freelist random", onPage(pageFreelist, -1, randomPage), all},
		{"freelist count flipped", onPage(pageFreelist, -1, flipAt(10)), all},
		{"freelist id flipped", onPage(pageFreelist, -1, flipAt(16)), all},
		{"first branch zeroed", onPage(pageBranch, 0, zeroPage), all},
		{"last branch zeroed", onPage(pageBranch, -1, zeroPage), all},
		{"branch random", onPage(pageBranch, -1, randomPage), all},
		{"branch child flipped", onPage(pageBranch, -1, flipAt(16+8)), all},
		{"branch key position flipped", onPage(pageBranch, -1, flipAt(16)), all},
		{"branch count flipped", onPage(pageBranch, -1, flipAt(10)), all},
		{"first leaf zeroed", onPage(pageLeaf, 0, zeroPage), most},
		{"middle leaf zeroed", onPage(pageLeaf, 7, zeroPage), most},
		{"last leaf zeroed", onPage(pageLeaf, -1, zeroPage), most},
		{"leaf random", onPage(pageLeaf, 5, randomPage), most},
		{"leaf count flipped", onPage(pageLeaf, 5, flipAt(10)), most},
		{"leaf flags flipped", onPage(pageLeaf, 5, flipAt(8)), most},
		{"leaf page number flipped", onPage(pageLeaf, 5, flipAt(0)), most},
		{"leaf element position flipped", onPage(pageLeaf, 5, flipAt(16+5)), most},
		{"leaf element size flipped", onPage(pageLeaf, 5, flipAt(16+12)), most},
		{"key flipped", onPage(pageLeaf, 6, flipAt(16+2*16+5)), most},
		{"value flipped", onPage(pageLeaf, 6, flipAt(2000)), most},
		{"value flipped near the end", onPage(pageLeaf, -1, flipAt(200)), most},
		{"one value flipped on each of ten pages", func(t *testing.T, path string) {
			for i := range 10 {
				onPage(pageLeaf, i*2, flipAt(1500))(t, path)
			}
		}, none},
		{"two pages swapped", swap(8, 11), most / 2},
		{"leaf over branch", func(t *testing.T, path string) {
			leaf, branch := pages(t, path, pageLeaf)[3], pages(t, path, pageBranch)
			copyPage(t, path, leaf, branch[len(branch)-1])
		}, all},
		{"all leaves zeroed", func(t *testing.T, path string) {
			for _, p := range pages(t, path, pageLeaf) {
				zero(p*pageSize, pageSize)(t, path)
			}
		}, none},
		{"512 bytes zeroed in the middle", func(t *testing.T, path string) { zero(used(t, path)/2+512, 512)(t, path) }, most},
		{"64 KiB zeroed", func(t *testing.T, path string) { zero(5*pageSize, 16*pageSize)(t, path) }, none},
		{"a foreign file", func(t *testing.T, path string) {
			os.WriteFile(path, []byte(strings.Repeat("this is not a database\n", 1000)), 0o600)
		}, none},
		{"no permission", func(t *testing.T, path string) { os.Chmod(path, 0) }, none},
		{"a folder in its place", func(t *testing.T, path string) { os.Remove(path); os.Mkdir(path, 0o700) }, none},
		{"a full folder in its place", func(t *testing.T, path string) {
			os.Remove(path)
			os.MkdirAll(filepath.Join(path, "x"), 0o700)
		}, none},
		{"a symbolic link to nowhere", func(t *testing.T, path string) { os.Remove(path); os.Symlink("/nowhere", path) },
			none},
		{"a pipe in its place", makePipe, none},
		{"removed", func(t *testing.T, path string) { os.Remove(path) }, none},
	}
	return cases
}

func swap(a, b int64) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		withFile(t, path, func(f *os.File, _ int64) {
			x, y := make([]byte, pageSize), make([]byte, pageSize)
			f.ReadAt(x, a*pageSize)
			f.ReadAt(y, b*pageSize)
			f.WriteAt(y, a*pageSize)
			f.WriteAt(x, b*pageSize)
		})
	}
}

func copyPage(t *testing.T, path string, from, to int64) {
	withFile(t, path, func(f *os.File, _ int64) {
		b := make([]byte, pageSize)
		f.ReadAt(b, from*pageSize)
		f.WriteAt(b, to*pageSize)
	})
}

// damagedQueue returns the folder of a queue with a sealed segment and another
// one after it. killed leaves the second one open, as after a kill.
func damagedQueue(t *testing.T) (dir, run string) {
	q := openQueue(t, smallConfig(tempDir(t)))
	for i := range damageBatches {
		q.Append(noiseOf(i, 24), nil)
		if i%damagePer == damagePer-1 {
			commitNow(t, q)
		}
	}
	return copyDir(t, q.shelf.Dir), q.Run()
}

// TestDamages damages a segment in every way, starts the queue, and drains it.
// The process must not die, nothing wrong may be handed out, the ledger must
// hold, and what is missing must be named.
func TestDamages(t *testing.T) {
	master, run := damagedQueue(t)
	for _, sealed := range []bool{false, true} {
		// Sealed and in the index, or the newest after a kill, which is not.
		start := master
		if sealed {
			q := openQueue(t, smallConfig(copyDir(t, master)))
			q.Close()
			start = q.shelf.Dir
		}
		for _, c := range damages() {
			t.Run(fmt.Sprintf("%s, sealed %v", c.name, sealed),
				func(t *testing.T) { testDamage(t, c, copyDir(t, start), run, sealed) })
		}
	}
}

func testDamage(t *testing.T, c damageCase, dir, run string, sealed bool) {
	path := folder.SegmentPath(dir, 1)
	c.damage(t, path)
	var log strings.Builder
	config := smallConfig(dir)
	if sealed {
		config.SegmentSize = 64 << 10 // too small to go on in the damaged one: it is found when it is reached
	}
	q, err := Open(config, slog.New(slog.NewTextHandler(io.MultiWriter(&log), nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	q.Append(testBatch(1, 3), nil)
	commitNow(t, q)
	q.Online()
	entries := drainSlowly(t, q)
	got := map[uint64]bool{}
	judge, arrived := audit{t: t}, map[string]bool{}
	defer func() {
		judge.named(arrived)
		judge.notices(q)
		judge.kept()
	}()
	for _, e := range entries {
		arrived[e.Run+" "+itoa(e.Seq)] = true
		switch {
		case e.Run == q.Run() && e.Seq == 1:
			continue
		case e.Run != run || e.Seq == 0 || e.Seq > damageBatches || got[e.Seq]:
			t.Fatalf("a batch that never was, or twice: %s %d", e.Run, e.Seq)
		}
		got[e.Seq] = true
		want := noiseOf(int(e.Seq)-1, 24)
		for i := range want.Readings {
			if e.Readings[i] != want.Readings[i] {
				t.Fatalf("seq %d has other readings than were appended", e.Seq)
			}
		}
	}
	if len(got) < c.survive {
		t.Errorf("%d batches survive, at least %d should:\n%s", len(got), c.survive, log.String())
	}
	l := q.Ledger()
	if !l.Balanced() || l.Waiting.Batches != 0 || l.Acked.Batches != uint64(len(entries)) {
		t.Errorf("ledger: %+v", l)
	}
	if known := uint64(len(got)) + l.Damaged.Batches; sealed && known != damageBatches {
		t.Errorf("%d survive and %d are damaged, of %d", len(got), l.Damaged.Batches, damageBatches)
	}
	checkMissing(t, q, c, run, got)
}

// checkMissing checks that every batch that did not survive is in a tombstone.
func checkMissing(t *testing.T, q *Queue, c damageCase, run string, got map[uint64]bool) {
	stones := q.Tombstones()
	for seq := uint64(1); seq <= damageBatches; seq++ {
		named := false
		for _, s := range stones {
			if s.Run == run && s.First <= seq && (s.Last == 0 || seq <= s.Last) {
				named = true
			}
		}
		if !got[seq] && !named {
			t.Fatalf("seq %d is missing and not named: %+v", seq, stones)
		}
	}
}

// drainSlowly takes and acknowledges everything, waiting for repairs.
func drainSlowly(t *testing.T, q *Queue) (all []bridge.Entry) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for q.Ledger().Waiting.Batches > 0 {
		for _, which := range []bridge.Lane{bridge.Backlog, bridge.Fresh} {
			entries := take(t, q, which)
			ackAll(q, entries)
			all = append(all, entries...)
		}
		commitNow(t, q) // which waits for a repair
		if time.Now().After(deadline) {
			t.Fatalf("it does not drain: %+v", q.Ledger())
		}
	}
	return all
}
