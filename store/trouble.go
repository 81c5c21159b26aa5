package store

import (
	"time"

	"fieldbridge/condition"
)

// subject is what the conditions of a queue are of.
const subject = "queue"

// raise reports a condition; it is logged when it begins with an error.
func (q *Queue) raise(k *condition.Kind, err error, args ...any) {
	if c, began := q.conditions.Raise(k, subject, args...); began && err != nil {
		q.log.Error(c.Text, "err", err)
	}
}

// recover ends conditions; that is logged, too.
func (q *Queue) recover(kinds ...*condition.Kind) {
	for _, k := range kinds {
		if c, ended := q.conditions.Clear(k, subject); ended {
			q.log.Info("the queue has recovered", "from", c.Text, "after", time.Since(c.Since).Round(time.Millisecond))
		}
	}
}

// troubledByLimits reports whether the limits drop or refuse readings.
func (q *Queue) troubledByLimits() bool {
	return q.conditions.Has(condition.QueueDropsOldest, subject) || q.conditions.Has(condition.QueueRefusesNew, subject)
}

// Health implements [condition.Reporter].
func (q *Queue) Health() []condition.Condition {
	all := q.conditions.Health()
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := q.books.Ledger().Dead.Batches; n > 0 {
		all = append(all, condition.DeadLetters.At(subject, q.started, n))
	}
	return all
}
