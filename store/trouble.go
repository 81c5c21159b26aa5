package store

import (
	"time"

	"fieldbridge/bridge"
)

// trouble is a kind of condition; of each kind there is at most one.
type trouble int

const (
	troubleDisk   trouble = iota // it cannot be written
	troubleDamage                // a file was set aside
	troubleFull                  // the limits drop or refuse
	troubleDead                  // there are dead letters
	troubleKinds
)

type troubles [troubleKinds]*bridge.Condition

// setTrouble reports a condition; it is logged when it begins.
func (q *Queue) setTrouble(t trouble, severity bridge.Severity, text string, err error) {
	q.mu.Lock()
	old := q.troubles[t]
	c := &bridge.Condition{Severity: severity, Subject: "queue", Text: text, Since: time.Now()}
	if old != nil {
		c.Since = old.Since
	}
	q.troubles[t] = c
	q.mu.Unlock()
	if old == nil && err != nil {
		q.log.Error(text, "err", err)
	}
}

// clearTrouble ends a condition; that is logged, too.
func (q *Queue) clearTrouble(t trouble) {
	q.mu.Lock()
	old := q.troubles[t]
	q.troubles[t] = nil
	q.mu.Unlock()
	if old != nil {
		q.log.Info("the queue has recovered", "from", old.Text, "after", time.Since(old.Since).Round(time.Millisecond))
	}
}

// Health implements [bridge.HealthReporter].
func (q *Queue) Health() []bridge.Condition {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []bridge.Condition
	for _, c := range q.troubles {
		if c != nil {
			out = append(out, *c)
		}
	}
	return out
}
