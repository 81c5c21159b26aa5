package journal

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
)

// Log is the journal of a queue that runs. The zero Log is of a queue that has
// none: all its methods do nothing. It is used under the queue's lock.
type Log struct {
	j         *Journal
	path      string
	queue     [16]byte
	size      int
	last      bool   // it is only read: there is to be none any more
	begun     bool   // what was found in it is on disk: it may be written
	buf       []byte // of the record that is being made
	base      bridge.Position
	full      bool
	held      bool
	err       error // why it is not used any more
	positions []bridge.Position
}

// Found is what a process that was killed has left.
type Found struct {
	// Run is the run whose batches these are, "" if there was no journal.
	Run string
	// Base is the position below which all of that run is done or on disk.
	Base bridge.Position
	// End is the position after the last that the run has given.
	End bridge.Position
	// Before is the position of the run's seq 0.
	Before bridge.Position
	// Batches are those from Base on, in order; some are in Done.
	Batches []block.Numbered
	// Done are positions from Base on that are noted as done.
	Done map[bridge.Position]bool
	// Again are the positions of batches that were dead letters, by their numbers.
	Again map[bridge.Position]bridge.Position
	// Aside says why what was there cannot be used, "" if it can, and Path where
	// it is kept for a closer look.
	Aside, Path string
}

// OpenLog opens the journal of the queue in queueDir in the folder that setting
// means, at most size bytes of it, and reads what a process left there, or where
// an earlier setting had it. Nothing is changed until [Log.Begin]. The caller owns
// the queue's folder.
//
// On an error the Log is a zero one, and the queue runs without a journal; what is
// in the queue's journal stays there for a later start.
func OpenLog(queueDir, setting string, size int) (l *Log, found Found, err error) {
	l = new(Log)
	dir, err := Folder(setting)
	if err == nil && dir != "" {
		err = prepare(dir)
	}
	id, known := readIdentity(queueDir)
	if known && id.Path != "" && (dir == "" || err != nil || id.Path != id.in(dir)) {
		if _, e := os.Lstat(id.Path); e == nil {
			l.path, l.last = id.Path, dir == "" || err != nil
		}
	}
	if l.path == "" {
		if err != nil || dir == "" {
			return new(Log), found, err
		}
		if id, err = identify(queueDir, dir); err != nil {
			return new(Log), found, err
		}
		l.path = id.in(dir)
	}
	l.queue, l.size = id.Queue, align(size)-headerSize
	found, failed := l.open()
	if failed != nil {
		return new(Log), found, errors.Join(err, failed)
	}
	return l, found, err
}

// prepare makes the folder, if the one above it is there.
func prepare(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("journal in %s: %w", dir, err)
	}
	return Check(dir)
}

// open opens the file and reads it.
func (l *Log) open() (found Found, err error) {
	var c collector
	j, left, err := Open(l.path, l.queue, l.size, c.take)
	if err != nil {
		return Found{Aside: left.Aside, Path: left.Path}, err
	}
	l.j = j
	if err := c.finish(j); err != nil {
		left.Aside = err.Error()
		left.Path, err = l.Aside()
		if err != nil {
			return Found{Aside: left.Aside, Path: left.Path}, err
		}
	}
	if left.Aside != "" {
		return Found{Aside: left.Aside, Path: left.Path}, nil
	}
	return c.found, nil
}

// Look returns what a process that was killed has left of the queue in queueDir, whose
// folder the caller holds. Nothing is changed. An error says why what may be there
// cannot be read.
func Look(queueDir string) (found Found, err error) {
	id, ok := readIdentity(queueDir)
	if !ok || id.Path == "" {
		return found, nil
	}
	var c collector
	j, err := look(id.Path, id.Queue, c.take)
	if j == nil {
		return found, err
	}
	err = c.finish(j)
	if err = errors.Join(err, j.Close()); err != nil {
		return found, err
	}
	return c.found, nil
}

// collector makes what was found of the records.
type collector struct {
	decoder Decoder
	found   Found
	wrong   error // the first
}

func (c *collector) take(_ uint64, body []byte) {
	r, err := c.decoder.Decode(body)
	switch {
	case c.wrong != nil:
	case err != nil:
		c.wrong = err
	case r.Entry != nil:
		c.wrong = c.found.add(r.Entry)
	default:
		if c.found.Done == nil {
			c.found.Done = make(map[bridge.Position]bool)
		}
		for _, p := range r.Done {
			c.found.Done[p] = true
		}
	}
}

// finish takes in what the header says.
func (c *collector) finish(j *Journal) error {
	if c.wrong == nil && len(c.found.Batches) > 0 && j.Run() == "" {
		c.wrong = ErrRecord
	}
	c.found.finish(j)
	return c.wrong
}

// Aside sets what was found aside, which cannot be used, and begins with an empty
// journal. It returns where the other one is.
func (l *Log) Aside() (path string, err error) {
	path = l.path + ".aside"
	err = errors.Join(l.j.Close(), os.Rename(l.path, path))
	l.j = nil
	if err == nil {
		l.j, _, err = Open(l.path, l.queue, l.size, func(uint64, []byte) {})
	}
	return path, err
}

// add takes a batch; the positions of a run grow with its seqs.
func (f *Found) add(e *Entry) error {
	before := e.Position - bridge.Position(e.Seq)
	if n := len(f.Batches); e.Seq == 0 || uint64(e.Position) < e.Seq ||
		n > 0 && (before != f.Before || e.Position <= f.Batches[n-1].Position) {
		return ErrRecord
	}
	f.Before = before
	if e.Letter != 0 {
		if f.Again == nil {
			f.Again = make(map[bridge.Position]bridge.Position)
		}
		f.Again[e.Letter] = e.Position
	}
	f.Batches = append(f.Batches, block.Numbered{Batch: e.Batch, Position: e.Position, Mono: e.Mono})
	return nil
}

// Has reports whether the journal knows where the batch at a position is: it is here,
// or done, or on disk.
func (f *Found) Has(p bridge.Position) bool {
	if f.Done[p] || p > f.Before && p < f.Base {
		return true
	}
	_, ok := slices.BinarySearchFunc(f.Batches, p,
		func(b block.Numbered, p bridge.Position) int { return cmp.Compare(b.Position, p) })
	return ok
}

// finish leaves out what is done.
func (f *Found) finish(j *Journal) {
	f.Run, f.Base = j.Run(), bridge.Position(j.Base())
	f.End = f.Base
	if n := len(f.Batches); n > 0 {
		f.End = max(f.End, f.Batches[n-1].Position+1)
	}
	f.Batches = slices.DeleteFunc(f.Batches, func(b block.Numbered) bool { return b.Position < f.Base })
}

// Parts cuts batches where one more would exceed so many of them, or where so many
// readings are reached.
func Parts(batches []block.Numbered, most, readings int) iter.Seq[[]block.Numbered] {
	return func(yield func([]block.Numbered) bool) {
		for len(batches) > 0 {
			n := 0
			for sum := 0; n < min(len(batches), most) && sum < readings; n++ {
				sum += len(batches[n].Readings)
			}
			if !yield(batches[:n]) {
				return
			}
			batches = batches[n:]
		}
	}
}

// Begin lets the journal be written: what was found in it is on disk, and run
// numbers its batches from base on.
func (l *Log) Begin(run string, base bridge.Position) {
	if l.Begun() {
		return
	}
	if l.last {
		l.failed(errors.Join(l.j.Close(), os.Remove(l.path)))
		l.j = nil
		return
	}
	l.resize()
	var id [runLength]byte
	copy(id[:], run)
	err := l.j.Rebase(uint64(base))
	if err == nil {
		err = l.j.Begin(id)
	}
	l.base, l.begun = base, err == nil
	l.failed(err)
}

// resize makes the journal as large as it is to be, if an earlier start made it of
// another size. Nothing in it is needed any more. Where there is no room for a new one
// the old one goes on.
func (l *Log) resize() {
	if l.j.Size() == l.size+headerSize {
		return
	}
	if j, err := l.j.anew(l.path, l.queue, l.size); err == nil {
		_ = l.j.Close() // nobody has its name any more
		l.j = j
	}
}

// Begun reports whether nothing is left to begin: there is no journal, or it is in
// use, or given up.
func (l *Log) Begun() bool { return l.j == nil || l.err != nil || l.begun }

// failed gives the journal up after an error, unless it is just full.
func (l *Log) failed(err error) {
	switch {
	case err == nil:
	case errors.Is(err, ErrFull):
		l.full = true
	default:
		l.err = err
	}
}

// writable reports whether records may be written.
func (l *Log) writable() bool { return l.begun && l.err == nil }

// Note takes a batch in and returns its place. letter is the number of the dead letter
// that it was, 0 for none.
func (l *Log) Note(
	position bridge.Position, seq uint64, mono int64, letter bridge.Position, b *bridge.Batch,
) (place uint64) {
	if !l.writable() {
		return 0
	}
	l.buf = AppendEntry(l.buf[:0], position, seq, mono, letter, b)
	place, err := l.j.Append(l.buf)
	if err != nil {
		l.failed(err)
		return l.j.Head()
	}
	return place
}

// Head returns the place of the next record.
func (l *Log) Head() uint64 {
	if !l.writable() {
		return 0
	}
	return l.j.Head()
}

// Done notes that the batches of from..to-1 need not be kept. Those below the base
// are known to be.
func (l *Log) Done(from, to bridge.Position) {
	if !l.writable() {
		return
	}
	for p := max(from, l.base); p < to; p++ {
		l.positions = append(l.positions, p)
	}
}

// Release says that all below base are done or on disk, the first of the others
// is at place, and writes what was noted by [Log.Done] of those.
func (l *Log) Release(place uint64, base bridge.Position) {
	if !l.writable() {
		return
	}
	if base > l.base && !l.held {
		l.base, l.full = base, false
		err := l.j.Rebase(uint64(base))
		if err == nil {
			err = l.j.Release(place)
		}
		l.failed(err)
	}
	kept := l.positions[:0]
	for _, p := range l.positions {
		if p >= l.base {
			kept = append(kept, p)
		}
	}
	if len(kept) > 0 && l.err == nil {
		l.buf = AppendDone(l.buf[:0], kept)
		if _, err := l.j.Append(l.buf); err != nil && !errors.Is(err, ErrFull) {
			l.failed(err)
		}
	}
	l.positions = kept[:0]
}

// Hold keeps what is in the journal, until [Log.Unhold] and a Release: of what is
// given up nothing is on disk yet, not even that it was.
func (l *Log) Hold() { l.held = true }

// Unhold ends a Hold.
func (l *Log) Unhold() { l.held = false }

// Full reports whether a batch did not fit since the last release.
func (l *Log) Full() bool { return l.full }

// Err returns why the journal is not used any more, nil if it is.
func (l *Log) Err() error { return l.err }

// Path returns where the journal is, "" for none.
func (l *Log) Path() string { return l.path }

// Size returns how much memory it takes, in bytes.
func (l *Log) Size() int {
	if l.j == nil {
		return 0
	}
	return l.j.Size()
}

// Close lets go of the journal. If nothing in it is needed any more its file is
// removed: it takes memory.
func (l *Log) Close(needed bool) error {
	if l.j == nil {
		return nil
	}
	if l.err == nil {
		l.err = os.ErrClosed
	}
	err := l.j.Close()
	if !needed && l.begun {
		err = errors.Join(err, os.Remove(l.path))
	}
	return err
}
