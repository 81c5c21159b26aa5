package weigh

import (
	"strings"
	"sync"

	"fieldbridge/budget"
)

// maxRetained is how many topics may have a retained message.
const maxRetained = 10000

// Retained is whose the retained messages are, and how large.
type Retained struct {
	pool *budget.Pool // by session

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

// Weight returns about what a topic or filter takes, in bytes.
func Weight(topic string) int64 {
	return topicCost + 2*int64(len(topic)) + levelCost*int64(strings.Count(topic, "/"))
}

// Retain reports whether a message on topic may be retained for owner, and
// counts it: a publisher must not fill memory. An empty message takes the one that
// is there away.
func (h *Retained) Retain(owner, topic string, payload []byte) bool {
	pool := h.pool
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
	n := Weight(topic) + int64(len(payload))
	if !known && len(h.topics) >= maxRetained || !Fair(pool, owner, n) {
		if known {
			pool.Force(old.owner, old.bytes)
		}
		return false
	}
	h.topics[strings.Clone(topic)] = kept{owner, n}
	return true
}

// Ended is told that the message on topic is retained no more.
func (h *Retained) Ended(topic string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old, known := h.topics[topic]; known {
		h.pool.Give(old.owner, old.bytes)
		delete(h.topics, topic)
	}
}

// Used returns how many bytes are retained, and how many may be.
func (h *Retained) Used() (used, most int64) { return h.pool.Used() }
