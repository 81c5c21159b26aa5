package store

import (
	"context"
	"errors"
	"fieldbridge/bridge"
	"fieldbridge/store/books"
	"fieldbridge/store/folder"
)

// Dead calls visit with the dead letters on disk, the oldest first.
func (q *Queue) Dead(ctx context.Context, visit func(folder.DeadLetter) error) error {
	return q.keep.ask(ctx, func() error {
		if err := q.keep.turnOver(true); err != nil {
			return err
		}
		for p := q.keep.letters.from; ; {
			_, next, err := q.keep.readLetters(p, func(l folder.DeadLetter) (bool, error) { return true, visit(l) })
			if err != nil || next == 0 {
				return err
			}
			p = next
		}
	})
}

// RetryDead queues the dead letters once more, as batches of this run. It
// returns how many there were.
func (q *Queue) RetryDead(ctx context.Context) (bridge.Count, error) {
	return q.emptyDead(ctx, q.keep.retrySome)
}

// PurgeDead drops the dead letters, and returns how many there were.
func (q *Queue) PurgeDead(ctx context.Context) (bridge.Count, error) {
	return q.emptyDead(ctx, func() (bridge.Count, error) { return q.keep.dropLetters(books.Purged) })
}

// emptyDead takes the dead letters out, some at a time.
func (q *Queue) emptyDead(ctx context.Context, take func() (bridge.Count, error)) (total bridge.Count, err error) {
	for {
		var n bridge.Count
		err := q.keep.ask(ctx, func() (err error) {
			// The batches that they were are recorded as done first: nothing says so
			// any more when they are gone.
			if err = errors.Join(q.keep.turnOver(true), q.keep.bury(), q.keep.record(true)); err == nil {
				n, err = take()
			}
			return err
		})
		total = total.Add(n)
		if err != nil || n.Batches == 0 {
			q.nudgeBoth()
			return total, err
		}
	}
}
