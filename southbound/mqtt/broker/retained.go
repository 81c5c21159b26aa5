package broker

import (
	"strings"
	"sync"
)

// hoard is whose the retained messages are, and how large.
type hoard struct {
	mu     sync.Mutex
	topics map[string]kept // guarded by mu
}

type kept struct {
	owner string // the session's name
	bytes int64
}

const (
	// topicCost is about what a topic or filter takes beside its text, and levelCost
	// what each level of it does.
	topicCost = 1 << 10
	levelCost = 512
)

// weight returns about what a topic or filter takes, in bytes.
func weight(topic string) int64 {
	return topicCost + 2*int64(len(topic)) + levelCost*int64(strings.Count(topic, "/"))
}

// mayRetain reports whether a message on topic may be retained for owner, and
// counts it: a publisher must not fill memory. An empty message takes the one that
// is there away.
func (e *Broker) mayRetain(owner, topic string, payload []byte) bool {
	h, pool := &e.hoard, e.memory.retained
	h.mu.Lock()
	defer h.mu.Unlock()
	old, known := h.topics[topic]
	if known {
		pool.Give(old.owner, old.bytes)
	}
	if len(payload) == 0 {
		delete(h.topics, topic)
		return true
	}
	n := weight(topic) + int64(len(payload))
	if !known && len(h.topics) >= maxRetained || !fair(pool, owner, n) {
		if known {
			pool.Force(old.owner, old.bytes)
		}
		e.blame(tooMuchRetained, SessionName(owner))
		return false
	}
	if h.topics == nil {
		h.topics = make(map[string]kept)
	}
	h.topics[strings.Clone(topic)] = kept{owner, n}
	return true
}

// notRetained is told that the message on topic has ended.
func (e *Broker) notRetained(topic string) {
	e.hoard.mu.Lock()
	defer e.hoard.mu.Unlock()
	if old, known := e.hoard.topics[topic]; known {
		e.memory.retained.Give(old.owner, old.bytes)
		delete(e.hoard.topics, topic)
	}
}
