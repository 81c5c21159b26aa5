package folder

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"fieldbridge/store/books"
	"fieldbridge/store/disk"
)

// ackHalf is where the second record begins in the file, which is sparse.
const ackHalf = books.MostRecord

// Acks holds the two newest records, each in its own half of the file, so
// that a cut while one is written leaves the other. It is of its own so that a
// damaged segment takes no acknowledgements with it, and a record costs one sync.
// It is the keeper's alone.
type Acks struct {
	path   string
	f      *os.File
	number uint64 // of the last record
	buf    []byte
}

// OpenAcks opens the file, which it makes if there is none, and returns what
// [newestAcks] says of it.
func OpenAcks(path string) (a *Acks, r books.Record, broken error) {
	a = &Acks{path: path}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		// Perhaps it can be read at least, on a file system that is read-only.
		if f, err = os.Open(path); err != nil {
			return a, r, err
		}
		defer func() { _ = f.Close() }()
	} else {
		a.f = f
	}
	r, broken = newestAcks(f)
	a.number = r.Number
	return a, r, broken
}

// newestAcks returns the newest record of a file that is whole, or none. broken
// says what is wrong when neither is and the file has content.
// A half that is not whole was being written when the power was cut: the other one is
// at most one record older, and what was acknowledged since is sent again.
func newestAcks(f *os.File) (r books.Record, broken error) {
	info, err := f.Stat()
	if err != nil {
		return r, err
	}
	found := false
	for half := range int64(2) {
		got, err := readAcks(io.NewSectionReader(f, half*ackHalf, ackHalf))
		if err != nil {
			broken = err
			continue
		}
		if !found || got.Number > r.Number {
			r, found = got, true
		}
	}
	if found || info.Size() == 0 {
		return r, nil
	}
	return r, broken
}

// The length is checked before memory is taken for it.
func readAcks(f io.Reader) (r books.Record, err error) {
	var head [books.RecordHead]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return r, err
	}
	n, err := books.RestOf(head[:])
	if err != nil {
		return r, err
	}
	rest := make([]byte, n)
	if _, err := io.ReadFull(f, rest); err != nil {
		return r, err
	}
	return books.ParseRecord(head[:], rest)
}

// Write makes r durable. It returns the bytes written.
// It overwrites the older record. The number is raised only after the sync: after an
// error the next record goes to the same half, and the good one stays.
func (a *Acks) Write(r *books.Record) (int, error) {
	if a.f == nil {
		f, err := os.OpenFile(a.path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return 0, fmt.Errorf("record acknowledgements: %w", err)
		}
		a.f = f
	}
	r.Number = a.number + 1
	b, err := r.Append(a.buf[:0])
	a.buf = b
	if err != nil {
		return 0, err
	}
	_, err = a.f.WriteAt(b, int64(r.Number%2)*ackHalf)
	if err == nil {
		err = disk.Datasync(a.f)
	}
	if err != nil {
		// After a failed sync nothing is known of the file's pages: begin anew.
		_ = a.f.Close()
		a.f = nil
		return 0, fmt.Errorf("record acknowledgements: %w", err)
	}
	a.number = r.Number
	return len(b), nil
}

// Number returns that of the last record.
func (a *Acks) Number() uint64 { return a.number }

// Close closes the file.
func (a *Acks) Close() error {
	if a.f == nil {
		return nil
	}
	return a.f.Close()
}

// Abandon closes a file that is set aside; the next record begins a new one.
func (a *Acks) Abandon() {
	_ = a.Close() // nothing in it is worth an error
	a.f = nil
}
