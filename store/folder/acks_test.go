package folder

import (
	"os"
	"path/filepath"
	"reflect"
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

// readBack returns what is found in a file of these bytes.
func readBack(t *testing.T, path string, b []byte) (books.Record, error) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	a, r, err := OpenAcks(path)
	_ = a.Close()
	return r, err
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
			b := append([]byte(nil), after[1]...)
			b[i] ^= 1
			r, err := readBack(t, path, b)
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
		b := append([]byte(nil), after[1]...)
		if len(after[2]) > len(b) {
			b = append(b, make([]byte, len(after[2])-len(b))...)
		}
		for i, at := range sectors {
			if subset>>i&1 == 1 {
				copy(b[at:min(at+sector, len(after[2]))], after[2][at:])
			}
		}
		r, err := readBack(t, path, b)
		if err != nil || !reflect.DeepEqual(r, last) && !reflect.DeepEqual(r, next) {
			t.Fatalf("with sectors %b: %v, record %d", subset, err, r.Number)
		}
	}
}
