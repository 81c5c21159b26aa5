package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	bolt "go.etcd.io/bbolt"

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
		s := q.segmentFromLocked(p)
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
	if err := q.verifyDeadFile(ctx, found); err != nil {
		return err
	}
	return q.verifyQuarantine(ctx, found)
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

// verifyDeadFile reads the dead letters, if there are any.
func (q *Queue) verifyDeadFile(ctx context.Context, found func(Verified)) error {
	v := Verified{File: deadFile}
	verify := func() error {
		info, err := os.Lstat(q.deadPath())
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			v.Bytes = disk.Allocated(info)
			err = q.withDead(false, func(db *bolt.DB) error {
				return errors.Join(verifyDead(db), countDead(db, &v.Count))
			})
		}
		v.Damage = err
		if err != nil {
			v.Count = bridge.Count{}
		}
		found(v)
		if segment.IsDamage(err) && q.log != nil {
			return q.mendDead(err)
		}
		return nil
	}
	if q.log == nil { // stopped
		return verify()
	}
	return q.ask(ctx, verify)
}

// verifyQuarantine lists the files that were set aside.
func (q *Queue) verifyQuarantine(ctx context.Context, found func(Verified)) error {
	dir := filepath.Join(q.dir, quarantineDir)
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
		case strings.HasPrefix(e.Name(), segmentPrefix):
			v.Count = salvageable(path)
		case strings.HasPrefix(e.Name(), deadFile):
			if s, err := scanDead(path); err == nil {
				v.Count.Batches = uint64(len(s.whole))
				v.Count.Readings = s.readings()
				s.f.Close()
			}
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
