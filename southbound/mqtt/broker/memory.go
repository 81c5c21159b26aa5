package broker

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"

	"fieldbridge/budget"
	"fieldbridge/condition"
)

// memory is what clients may make the broker keep, in bytes. Each kind is a
// budget of its own, so that who fills one takes nothing from the others.
type memory struct {
	retained   *budget.Pool // by session
	queued     *budget.Pool // messages that wait for a client's acknowledgement, by session
	unsent     *budget.Pool // what clients do not read, by their address
	subscribed *budget.Pool // by session
	logins     *budget.Pool // what long CONNECT packets said, by session
	arriving   arrivals
}

// defaultMemory is what all of it together is unless [Broker.Limit] says otherwise.
const defaultMemory = 32 << 20

func newMemory() *memory {
	m := &memory{retained: budget.NewPool(0), queued: budget.NewPool(0), unsent: budget.NewPool(0),
		subscribed: budget.NewPool(0), logins: budget.NewPool(0)}
	m.arriving.holders = make(map[*conn]*arrival)
	return m
}

// Limit sets how many bytes clients may make the broker keep. It may be called at
// any time; what is kept already stays.
func (e *Broker) Limit(bytes int64) {
	m := e.memory
	part := bytes / 8
	m.retained.Resize(2 * part)
	m.queued.Resize(2 * part)
	m.unsent.Resize(part)
	m.subscribed.Resize(part / 2)
	m.logins.Resize(part / 2)
	m.arriving.resize(2 * part)
}

// Kinds of what clients take too much of, for people.
const (
	tooMuchRetained   = "retained messages"
	tooMuchQueued     = "messages that wait for its acknowledgement"
	tooMuchUnsent     = "messages that it does not read"
	tooMuchSubscribed = "subscriptions"
	tooMuchLogin      = "a long CONNECT packet"
	tooMuchArriving   = "a long packet that it does not finish"
	tooManySilent     = "connections that do not log in"
	tooLongTopic      = "topics of more than 1 KiB"
)

// culprits are those who asked for too much lately.
type culprits struct {
	mu   sync.Mutex
	last map[string]culprit // guarded by mu; by kind
}

type culprit struct {
	who         string
	since, last time.Time
	told        time.Time
}

// blameFor is how long somebody is named after the last time.
const blameFor = time.Minute

// blame notes who asked for too much of a kind, and logs it from time to time.
func (e *Broker) blame(kind, who string) {
	now := time.Now()
	e.blamed.mu.Lock()
	if e.blamed.last == nil {
		e.blamed.last = make(map[string]culprit)
	}
	c := e.blamed.last[kind]
	if now.Sub(c.last) > blameFor {
		c.since = now
	}
	tell := now.Sub(c.told) >= tellEvery
	if tell {
		c.told = now
	}
	c.who, c.last = who, now
	e.blamed.last[kind] = c
	e.blamed.mu.Unlock()
	if tell {
		e.log.Warn("a client asks for more than there is memory for", "of", kind, "client", who)
	}
}

// conditions returns who asked for too much in the last minute.
func (l *culprits) conditions(broker string) (all []condition.Condition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for kind, c := range l.last {
		if time.Since(c.last) < blameFor {
			all = append(all, condition.SensorTakesMemory.At("mqtt "+broker+" "+kind, c.since, c.who, kind))
		}
	}
	slices.SortFunc(all, func(a, b condition.Condition) int { return strings.Compare(a.Subject, b.Subject) })
	return all
}

// SessionName returns the name of a session for people.
func SessionName(id string) string {
	if user, client, ok := strings.Cut(id, userEnd); ok {
		return fmt.Sprintf("%q of user %q", cut(client), cut(user))
	}
	return fmt.Sprintf("%q", cut(id))
}

// cut shortens what a client calls itself.
func cut(name string) string { return name[:min(len(name), 64)] }

// clientName returns the name of a client for people, with its address.
func clientName(cl *mochi.Client) string { return SessionName(cl.ID) + " at " + cl.Net.Remote }

// fair takes n bytes of pool for owner, who may have three quarters of it at most.
func fair(pool *budget.Pool, owner string, n int64) bool {
	if _, most := pool.Used(); pool.Of(owner)+n > most/4*3 {
		return false
	}
	return pool.Take(owner, n)
}
