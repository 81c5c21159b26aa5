package store

import (
	"fmt"
	"time"

	"fieldbridge/bridge"
)

// trouble is a kind of condition; of each kind there is at most one.
type trouble int

const (
	troubleDisk   trouble = iota // it cannot be written
	troubleRead                  // a segment cannot be read, or not repaired
	troubleDamage                // a file was set aside
	troubleFull                  // the limits drop or refuse
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
	if n := q.ledger.Dead.Batches; n > 0 {
		out = append(out, bridge.Condition{Severity: bridge.Warning, Subject: "queue", Since: q.started,
			Text: fmt.Sprintf("%d batches were refused by the cloud for good: see why with 'fieldbridge queue dead list', then retry or purge them", n)})
	}
	return out
}
