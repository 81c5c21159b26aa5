// Package weigh counts, in bytes, what clients make the embedded broker keep, says
// what there is room for, and names who asks for too much. It knows no connection
// and no library: sessions and connections are names to it. Its methods may be
// called by several goroutines at once; but for [Arrivals.Take] none of them waits.
package weigh

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"fieldbridge/budget"
	"fieldbridge/condition"
	"fieldbridge/order"
)

// Memory is what clients may make the broker keep. Each kind is a budget of its
// own, so that who fills one takes nothing from the others.
type Memory struct {
	Retained
	Queued
	Arrivals
	Culprits

	Unsent     *budget.Pool // what clients do not read, by their address
	Subscribed *budget.Pool // by session
	Logins     *budget.Pool // what long CONNECT packets said, by session
}

// defaultMemory is what all of it together is unless [Memory.Limit] says otherwise.
const defaultMemory = 32 << 20

// New returns budgets of 32 MiB together.
func New() *Memory {
	m := &Memory{Unsent: budget.NewPool(0), Subscribed: budget.NewPool(0), Logins: budget.NewPool(0)}
	m.Retained = Retained{pool: budget.NewPool(0), topics: make(map[string]kept)}
	m.Queued = Queued{Pool: budget.NewPool(0), waits: make(map[string]map[uint16]int64)}
	m.Arrivals.holders = make(map[any]*arrival)
	m.Culprits = Culprits{last: make(map[string]culprit)}
	m.Limit(defaultMemory)
	return m
}

// Limit sets how many bytes clients may make the broker keep. It may be called at
// any time; what is kept already stays.
func (m *Memory) Limit(bytes int64) {
	part := bytes / 8
	m.Retained.pool.Resize(2 * part)
	m.Queued.Pool.Resize(2 * part)
	m.Unsent.Resize(part)
	m.Subscribed.Resize(part / 2)
	m.Logins.Resize(part / 2)
	m.Arrivals.resize(2 * part)
}

// Kinds of what clients take too much of, for people.
const (
	TooMuchRetained   = "retained messages"
	TooMuchQueued     = "messages that wait for its acknowledgement"
	TooMuchUnsent     = "messages that it does not read"
	TooMuchSubscribed = "subscriptions"
	TooMuchLogin      = "a long CONNECT packet"
	TooMuchArriving   = "a long packet that it does not finish"
	TooManySilent     = "connections that do not log in"
	TooLongTopic      = "topics of more than 1 KiB"
)

// Culprits are those who asked for too much lately.
type Culprits struct {
	mu   sync.Mutex
	last map[string]culprit // guarded by mu; by kind
}

type culprit struct {
	who         string
	since, last time.Time
}

// blameFor is how long somebody is named after the last time.
const blameFor = time.Minute

// Blame notes who asked for too much of a kind.
func (l *Culprits) Blame(kind, who string) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.last[kind]
	if now.Sub(c.last) > blameFor {
		c.since = now
	}
	c.who, c.last = who, now
	l.last[kind] = c
}

// Conditions returns who asked for too much in the last minute.
func (l *Culprits) Conditions(broker string) (all []condition.Condition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for kind, c := range l.last {
		if time.Since(c.last) < blameFor {
			all = append(all, condition.SensorTakesMemory.At("mqtt "+broker+" "+kind, c.since, c.who, kind))
		}
	}
	order.By(all, func(a, b condition.Condition) int { return strings.Compare(a.Subject, b.Subject) })
	return all
}

// UserEnd ends the user's name in the name of a session.
const UserEnd = "\x00"

// SessionName returns the name of a session for people.
func SessionName(id string) string {
	if user, client, ok := strings.Cut(id, UserEnd); ok {
		return fmt.Sprintf("%q of user %q", cut(client), cut(user))
	}
	return fmt.Sprintf("%q", cut(id))
}

// cut shortens what a client calls itself.
func cut(name string) string { return name[:min(len(name), 64)] }

// Fair takes n bytes of pool for owner, who may have three quarters of it at most.
func Fair(pool *budget.Pool, owner string, n int64) bool {
	if _, most := pool.Used(); pool.Of(owner)+n > most/4*3 {
		return false
	}
	return pool.Take(owner, n)
}
