package folder

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/store/books"
)

// sector is what a disk writes whole.
const sector = 512

// longRecord returns a record of several sectors.
func longRecord(n int) books.Record {
	r := books.Record{Number: uint64(n), Next: bridge.Position(300_000 + n), Uptime: int64(1000 * n),
		Counts: map[bridge.Position]bridge.Count{1: {Batches: uint64(n), Readings: uint64(2 * n)}}}
	for i := range 600 {
		from := bridge.Position(1 + 400*i + n)
		r.Done = append(r.Done, books.Span{From: from, To: from + 130 + bridge.Position(n)})
	}
	return r
}

// writeAcks writes records to a new file, and returns its bytes after each of them.
func writeAcks(t *testing.T, records ...books.Record) (path string, after [][]byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "acks")
	a, _, err := OpenAcks(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	for i := range records {
		if _, err := a.Write(&records[i]); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		after = append(after, b)
	}
	return path, after
}

// readBack returns what is found in the file with these bytes at some places, and
// puts back what was there.
func readBack(t *testing.T, path string, pieces map[int][]byte) (books.Record, error) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	before := map[int][]byte{}
	for at, b := range pieces {
		was := make([]byte, len(b))
		if _, err := f.ReadAt(was, int64(at)); err != nil {
			t.Fatal(err)
		}
		before[at] = was
		if _, err := f.WriteAt(b, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	a, r, broken := OpenAcks(path)
	_ = a.Close()
	for at, b := range before {
		if _, err := f.WriteAt(b, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	return r, broken
}

// changed returns the sectors in which two files differ.
func changed(before, after []byte) (at []int) {
	for i := 0; i < len(after); i += sector {
		was := make([]byte, sector)
		if i < len(before) {
			copy(was, before[i:])
		}
		is := make([]byte, sector)
		copy(is, after[i:])
		if !reflect.DeepEqual(was, is) {
			at = append(at, i)
		}
	}
	return at
}

// TestAcksDamaged flips a bit of every byte of the newest record, which is whole in
// length and form: the one before it holds then, and never what the flip made of it.
func TestAcksDamaged(t *testing.T) {
	older, newest := longRecord(1), longRecord(2)
	path, after := writeAcks(t, older, newest)
	places := changed(after[0], after[1])
	if len(places) < 3 {
		t.Fatalf("the record is in %d sectors", len(places))
	}
	for _, place := range places {
		for i := place; i < min(place+sector, len(after[1])); i += 7 {
			if i >= len(after[0]) && after[1][i] == 0 {
				continue
			}
			r, err := readBack(t, path, map[int][]byte{i: {after[1][i] ^ 1}})
			if err != nil || !reflect.DeepEqual(r, older) && !reflect.DeepEqual(r, newest) {
				t.Fatalf("byte %d: %v, record %d of %d", i, err, r.Number, r.Next)
			}
		}
	}
}

// TestAcksTorn cuts the power while a record is written over the one before the last:
// of its sectors any may be on the disk. The last record or the new one is there.
func TestAcksTorn(t *testing.T) {
	first, last, next := longRecord(1), longRecord(2), longRecord(3)
	path, after := writeAcks(t, first, last, next)
	sectors := changed(after[1], after[2])
	if len(sectors) < 3 || len(sectors) > 12 {
		t.Fatalf("the record is in %d sectors", len(sectors))
	}
	for subset := range 1 << len(sectors) {
		missing := map[int][]byte{} // as before
		for i, at := range sectors {
			if subset>>i&1 == 0 {
				missing[at] = after[1][at:min(at+sector, len(after[1]))]
			}
		}
		r, err := readBack(t, path, missing)
		if err != nil || !reflect.DeepEqual(r, last) && !reflect.DeepEqual(r, next) {
			t.Fatalf("without sectors %v: %v, record %d", slices.Sorted(maps.Keys(missing)), err, r.Number)
		}
	}
}
