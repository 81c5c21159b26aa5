package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
)

const testSize = 1 << 20

// memoryDir returns a folder in memory, if there is one: a sync costs nothing.
func memoryDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "fieldbridge-segment-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// writer makes blocks that follow one another.
type writer struct {
	encoder block.Encoder
	next    bridge.Position
	total   bridge.Count
}

// block returns one of n batches with that many readings each.
func (w *writer) block(t testing.TB, n, readings int) Block {
	t.Helper()
	batches := make([]block.Numbered, n)
	for i := range batches {
		p := w.next + bridge.Position(i)
		batches[i] = block.Numbered{Position: p,
			Batch: bridge.Batch{Device: "boiler", At: time.UnixMilli(1763887500000 + int64(p))}}
		x := uint64(p)*2654435761 + 1
		for j := range readings {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			batches[i].Readings = append(batches[i].Readings, bridge.Reading{Point: fmt.Sprint("p", j), Value: bridge.Uint(x)})
		}
	}
	h := block.Header{Run: "3k7q9x2m", Seq: uint64(w.next), Before: w.total}
	data, err := w.encoder.Encode(&h, batches)
	if err != nil {
		t.Fatal(err)
	}
	w.next += bridge.Position(n)
	w.total = w.total.Add(h.Count)
	return Block{First: h.First, Bytes: slices.Clone(data)}
}

// filled makes a file of blocks of 5 batches from position first on.
func filled(t testing.TB, first bridge.Position, blocks, readings int) (path string, f *File, all []Block) {
	t.Helper()
	path = filepath.Join(memoryDir(t), "seg.db")
	f, err := Create(path, testSize)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	w := writer{next: first}
	for range blocks {
		b := w.block(t, 5, readings)
		all = append(all, b)
		if _, err := f.Reserve(len(b.Bytes), f.Limit(testSize), false); err != nil {
			t.Fatal(err)
		}
		if n, err := f.Append(b); err != nil || n < PageSize {
			t.Fatalf("%d bytes written: %v", n, err)
		}
	}
	return path, f, all
}

func TestFindAndWalk(t *testing.T) {
	const first = 10
	path, f, all := filled(t, first, 40, 60)
	if f.Used() > f.Size() || f.Size() > testSize {
		t.Errorf("%d bytes are used of %d", f.Used(), f.Size())
	}
	check := func(f *File) {
		t.Helper()
		var buf []byte
		for p := bridge.Position(1); p < first+40*5+3; p++ {
			data, h, err := f.Find(p, buf)
			if err != nil {
				t.Fatal(err)
			}
			buf = data
			i := max(0, int(p)-first) / 5
			if i >= len(all) {
				if data != nil {
					t.Errorf("batch %d is in block %d", p, h.First)
				}
				continue
			}
			if h.First != all[i].First || string(data) != string(all[i].Bytes) {
				t.Errorf("batch %d is in block %d", p, h.First)
			}
		}
		n := 0
		if err := f.Walk(func(h *block.Header, data []byte) error {
			if string(data) != string(all[n].Bytes) || h.First != all[n].First {
				t.Errorf("block %d is %d", n, h.First)
			}
			n++
			return nil
		}); err != nil || n != len(all) {
			t.Errorf("%d blocks: %v", n, err)
		}
	}
	check(f)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, open := range []func(string, int64) (*File, error){Open, Look} {
		g, err := open(path, testSize)
		if err != nil {
			t.Fatal(err)
		}
		check(g)
		g.Close()
	}
}

func TestSurveyAndCheck(t *testing.T) {
	_, f, all := filled(t, 1, 20, 8)
	a, err := f.Survey(1, block.MaxPosition)
	if err != nil || a.First != 1 || a.Last != 100 || a.Written != (bridge.Count{Batches: 100, Readings: 800}) ||
		a.Total != a.Written {
		t.Errorf("%+v, %v", a, err)
	}
	if err := f.Check(&a); err != nil {
		t.Error(err)
	}
	// What begins at the limit is of a commit that failed.
	short, err := f.Survey(1, all[15].First)
	if err != nil || short.Last != 75 {
		t.Errorf("%+v, %v", short, err)
	}
	if err := f.Check(&short); err != nil {
		t.Error(err)
	}
	short.Written.Readings--
	if err := f.Check(&short); !IsDamage(err) {
		t.Errorf("another account: %v", err)
	}
	if _, err := f.Survey(2, block.MaxPosition); !IsDamage(err) {
		t.Errorf("a block before the first: %v", err)
	}
	w := writer{next: 200, total: bridge.Count{Batches: 7}}
	if _, err := f.Append(w.block(t, 5, 8)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Survey(1, block.MaxPosition); !IsDamage(err) {
		t.Errorf("blocks are missing: %v", err)
	}
}

func TestLookChangesNothing(t *testing.T) {
	path, f, _ := filled(t, 1, 3, 8)
	f.Close()
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Look(path, testSize)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Survey(1, block.MaxPosition); err != nil {
		t.Error(err)
	}
	g.Close()
	if after, err := os.Stat(path); err != nil || after.ModTime() != before.ModTime() || after.Mode() != before.Mode() {
		t.Errorf("it was changed: %v, %v", after, err)
	}
	if _, err := Look(path+"x", testSize); !errors.Is(err, os.ErrNotExist) || IsDamage(err) {
		t.Errorf("no file: %v", err)
	}
}

// TestSalvage loses the meta pages and a leaf: all other blocks are found, and a file
// that is made of them is right.
func TestSalvage(t *testing.T) {
	path, f, all := filled(t, 1, 40, 60)
	f.Close()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	file.WriteAt(make([]byte, 2*PageSize), 0)
	if g, err := Open(path, testSize); !IsDamage(err) {
		t.Errorf("open: %v, %v", g, err)
	}
	s, err := Salvage(path, 1, block.MaxPosition)
	if err != nil || len(s.Blocks) != len(all) || s.Unread != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	for i := range s.Blocks {
		if data, err := s.Read(&s.Blocks[i]); err != nil || string(data) != string(all[i].Bytes) {
			t.Errorf("block %d is another: %v", i, err)
		}
	}
	s.Close()
	leaf, lost := make([]byte, PageSize), string(chunkKey(all[20].First, 0))
	for at := int64(2 * PageSize); ; at += PageSize {
		if _, err := file.ReadAt(leaf, at); err != nil {
			break
		}
		eachPair(leaf, at, func(e element, _ int64) { // also on older copies of the page
			if string(e.key) == lost {
				file.WriteAt(make([]byte, PageSize), at)
			}
		})
	}
	if s, err = Salvage(path, 1, block.MaxPosition); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := len(s.Blocks); n >= len(all) || n < len(all)-4 {
		t.Errorf("%d blocks of %d", n, len(all))
	}
	a, err := s.Rebuild(path+"2", testSize)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Open(path+"2", testSize)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	a.First = 1
	if err := g.Check(&a); err != nil || a.Written.Batches != uint64(5*len(s.Blocks)) {
		t.Errorf("%+v: %v", a, err)
	}
}

// TestPairs reads another bbolt file, whole and without its meta pages.
func TestPairs(t *testing.T) {
	path := filepath.Join(memoryDir(t), "other.db")
	db, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: PageSize})
	if err != nil {
		t.Fatal(err)
	}
	const n = 500
	if err := db.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{"large", "small"} {
			b, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			for i := range n {
				if name == "small" && i > 3 {
					break
				}
				k := binary.BigEndian.AppendUint64([]byte(name), uint64(i))
				if err := b.Put(k, []byte(fmt.Sprint("value ", i))); err != nil {
					return err
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	read := func() (found map[string]string, damage error) {
		t.Helper()
		found = map[string]string{}
		damage, err := Pairs(path, func(k, v []byte) error { found[string(k)] = string(v); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return found, damage
	}
	found, damage := read()
	if len(found) != n+4 || damage != nil ||
		found[string(binary.BigEndian.AppendUint64([]byte("small"), 3))] != "value 3" {
		t.Errorf("%d pairs, %v", len(found), damage)
	}
	enough := errors.New("enough")
	if _, err := Pairs(path, func(k, v []byte) error { return enough }); err != enough {
		t.Errorf("the error of visit is %v", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteAt(make([]byte, 2*PageSize), 0)
	if found, damage = read(); len(found) != n+4 || !IsDamage(damage) {
		t.Errorf("%d pairs, %v", len(found), damage)
	}
}

// FuzzFile changes bytes of a file: whatever they say, the process lives, what is
// found has a right checksum, and what Open takes can be read.
func FuzzFile(f *testing.F) {
	path, file, _ := filled(f, 1, 8, 30)
	file.Close()
	master, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(pageHead+metaRoot), []byte{0xff})
	f.Add(uint32(PageSize+pageHead+metaHigh), []byte{0xff, 0xff, 0xff})
	for page := uint32(2); page < 20; page++ {
		f.Add(page*PageSize+pageFlags, []byte{2})
		f.Add(page*PageSize+pageOverflow, []byte{9})
		f.Add(page*PageSize+pageHead+leafKeyAt, []byte{0xff, 0xff, 0xff, 0x7f})
	}
	dir := memoryDir(f)
	f.Fuzz(func(t *testing.T, at uint32, change []byte) {
		data := slices.Clone(master)
		copy(data[int(at)%len(data):], change)
		path := filepath.Join(dir, "changed.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if g, err := Open(path, testSize); err == nil {
			g.Survey(1, block.MaxPosition)
			g.Find(7, nil)
			g.Close()
		} else if !IsDamage(err) {
			t.Errorf("open: %v", err)
		}
		if _, err := Pairs(path, func(k, v []byte) error { return nil }); err != nil {
			t.Errorf("pairs: %v", err)
		}
		s, err := Salvage(path, 1, block.MaxPosition)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for i := range s.Blocks {
			data, err := s.Read(&s.Blocks[i])
			if err == nil {
				_, _, err = block.Open(data)
			}
			if err != nil {
				t.Errorf("block %d: %v", s.Blocks[i].First, err)
			}
		}
	})
}
