package store

import (
	"time"

	"fieldbridge/condition"
)

// subject is what the conditions of a queue are of.
const subject = "queue"

// raise reports a condition; it is logged when it begins with an error.
func (c *core) raise(k *condition.Kind, err error, args ...any) {
	if now, began := c.conditions.Raise(k, subject, args...); began && err != nil {
		c.log.Error(now.Text, "err", err)
	}
}

// recover ends conditions; that is logged, too.
func (c *core) recover(kinds ...*condition.Kind) {
	for _, k := range kinds {
		if was, ended := c.conditions.Clear(k, subject); ended {
			c.log.Info("the queue has recovered", "from", was.Text, "after", time.Since(was.Since).Round(time.Millisecond))
		}
	}
}

// troubledByLimits reports whether the limits drop or refuse readings.
func (c *core) troubledByLimits() bool {
	return c.conditions.Has(condition.QueueDropsOldest, subject) || c.conditions.Has(condition.QueueRefusesNew, subject)
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
