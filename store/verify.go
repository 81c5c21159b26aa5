package store

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/store/block"
	"fieldbridge/store/folder"
	"fieldbridge/store/segment"
)

// Verify reads every block of every segment, every dead letter, and what can
// still be read of the files in quarantine, and calls found with each file. A
// running queue repairs what is damaged.
func (q *Queue) Verify(ctx context.Context, found func(folder.Verified)) error {
	for p := bridge.Position(1); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		q.mu.Lock()
		s := q.shelf.From(p)
		var last bridge.Position
		v := folder.Verified{}
		if s != nil {
			last = s.Last
			v.File, v.Bytes, v.Count = filepath.Base(s.Path), s.Bytes, s.Written
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
	if err := q.keep.ask(ctx, func() error { return q.keep.verifyLetters(found) }); err != nil {
		return err
	}
	return folder.VerifyQuarantine(ctx, q.shelf.Dir, found)
}

func (q *Queue) verifySegment(s *folder.Stored) error {
	q.files.Lock()
	defer q.files.Unlock()
	if s.File == nil {
		s.Verified = false
		return q.openForReading(s) // which verifies
	}
	return s.File.Walk(func(*block.Header, []byte) error { return nil })
}

// verifyLetters reads the dead letters. Damaged ones are repaired.
func (k *keeper) verifyLetters(found func(folder.Verified)) error {
	if err := k.turnOver(true); err != nil {
		return err
	}
	l := &k.letters
	var failed error
	for _, s := range slices.Clone(l.shelf.Segments) {
		s.Verified = false
		_, err := k.readSegment(s, max(s.First, l.from), func(folder.DeadLetter) (bool, error) { return true, nil })
		v := folder.Verified{File: k.name(s.Path), Bytes: s.Bytes, Count: s.Waiting(), Damage: err}
		if err != nil {
			v.Count = bridge.Count{}
		}
		found(v)
		if segment.IsDamage(err) {
			failed = errors.Join(failed, k.repair(&l.shelf, s))
		}
	}
	return failed
}
