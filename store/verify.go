package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/disk"
	"fieldbridge/store/segment"
)

// Verified is what [Queue.Verify] finds in a file.
type Verified struct {
	File  string       // below the folder
	Bytes int64        // on disk
	Count bridge.Count // what can be read of it
	// Damage is what is wrong, nil if nothing is. In quarantine it is nil: what
	// was wrong was accounted for when the file was set aside.
	Damage     error
	Quarantine bool
}

// Verify reads every block of every segment, every dead letter, and what can
// still be read of the files in quarantine, and calls found with each file. A
// running queue repairs what is damaged.
func (q *Queue) Verify(ctx context.Context, found func(Verified)) error {
	for p := bridge.Position(1); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		q.mu.Lock()
		s := q.shelf.from(p)
		var last bridge.Position
		v := Verified{}
		if s != nil {
			last = s.Last
			v.File, v.Bytes, v.Count = filepath.Base(s.path), s.bytes, s.Written
		}
		q.mu.Unlock()
		if s == nil {
			break
		}
		if v.Damage = q.verifySegment(s); v.Damage != nil {
			v.Count = bridge.Count{}
			q.unreadable(s, v.Damage)
		}
		found(v)
		p = max(p, last) + 1
	}
	if err := q.ask(ctx, func() error { return q.verifyLetters(found) }); err != nil {
		return err
	}
	return verifyQuarantine(ctx, q.dir, found)
}

func (q *Queue) verifySegment(s *stored) error {
	q.files.Lock()
	defer q.files.Unlock()
	if s.file == nil {
		s.verified = false
		return q.openForReading(s) // which verifies
	}
	return s.file.Walk(func(*block.Header, []byte) error { return nil })
}

// verifyLetters reads the dead letters. Damaged ones are repaired.
func (q *Queue) verifyLetters(found func(Verified)) error {
	if err := q.turnOver(true); err != nil {
		return err
	}
	l := &q.letters
	var failed error
	for _, s := range slices.Clone(l.segments) {
		s.verified = false
		_, err := q.readSegment(s, max(s.First, l.from), func(DeadLetter) (bool, error) { return true, nil })
		v := Verified{File: q.name(s.path), Bytes: s.bytes, Count: s.waiting(), Damage: err}
		if err != nil {
			v.Count = bridge.Count{}
		}
		found(v)
		if segment.IsDamage(err) {
			failed = errors.Join(failed, q.repair(&l.shelf, s))
		}
	}
	return failed
}

// verifyQuarantine lists the files that were set aside.
func verifyQuarantine(ctx context.Context, dir string, found func(Verified)) error {
	dir = filepath.Join(dir, quarantineDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(dir, e.Name())
		v := Verified{File: filepath.Join(quarantineDir, e.Name()), Bytes: disk.Size(path), Quarantine: true}
		switch {
		case strings.HasPrefix(e.Name(), segmentPrefix), strings.HasPrefix(e.Name(), deadDir+"-"+segmentPrefix):
			v.Count = salvageable(path)
		case strings.HasPrefix(e.Name(), oldFile):
			eachOldLetter(path, func(l DeadLetter) error {
				v.Count = v.Count.Add(bridge.Count{Batches: 1, Readings: uint64(len(l.Readings))})
				return nil
			})
		}
		found(v)
	}
	return err
}

// salvageable returns what has a right checksum in a damaged segment.
func salvageable(path string) (n bridge.Count) {
	s, err := segment.Salvage(path, 1, block.MaxPosition)
	if err != nil {
		return n
	}
	defer s.Close()
	for i := range s.Blocks {
		n = n.Add(s.Blocks[i].Count)
	}
	return n
}
