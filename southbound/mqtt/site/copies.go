package site

import (
	"hash/maphash"
	"slices"
	"time"

	"fieldbridge/southbound/mqtt/topic"
)

const (
	// copiesApart is how long after one copy of a message the others may come.
	copiesApart = 10 * time.Second
	// nextCopy is the same where the broker does not say for which subscription a
	// copy is: it follows at once.
	nextCopy = 50 * time.Millisecond
	// mostCopied is how many messages are remembered.
	mostCopied = 4096
)

// copies finds the copies that a broker makes of a message that several
// subscriptions match (MQTT 5, section 3.3.4): they are one reading. A copy is
// known by the identifiers of its subscriptions; where the broker has none, by
// following at once with the same topic and payload. It is of the goroutine that
// reads.
type copies struct {
	filters []topic.Filter // that another one meets
	seed    maphash.Seed
	seen    map[uint64]*copied
	last    uint64 // the message before
	lastAt  time.Time
	extra   int // copies of it so far
}

// copied is what came of one topic and payload.
type copied struct {
	at    time.Time
	taken int
	by    map[int]int // by subscription
}

func newCopies(subs []Subscription) *copies {
	c := &copies{seed: maphash.MakeSeed(), seen: make(map[uint64]*copied)}
	var all []topic.Filter
	for _, s := range subs {
		if f, err := topic.Parse(s.Filter); err == nil {
			all = append(all, f)
		}
	}
	for i := range all {
		for j := range all {
			if i != j && all[i].Meets(&all[j]) {
				c.filters = append(c.filters, all[i])
				break
			}
		}
	}
	return c
}

// again reports whether a message is a copy of one that was taken. ids are those
// of its subscriptions.
func (c *copies) again(name string, payload []byte, ids []int, now time.Time) bool {
	matching := 0
	for i := range c.filters {
		if _, ok := c.filters[i].Match(name, nil); ok {
			matching++
		}
	}
	if matching < 2 {
		return false
	}
	var h maphash.Hash
	h.SetSeed(c.seed)
	_, _ = h.WriteString(name)
	_ = h.WriteByte(0)
	_, _ = h.Write(payload)
	key := h.Sum64()
	if len(ids) == 0 {
		return c.follows(key, matching, now)
	}
	m := c.seen[key]
	if m == nil || now.Sub(m.at) > copiesApart {
		c.forget(now)
		m = &copied{by: make(map[int]int)}
		c.seen[key] = m
	}
	m.at = now
	most := 0
	for _, id := range ids {
		m.by[id]++
		most = max(most, m.by[id])
	}
	if most <= m.taken {
		return true
	}
	m.taken = most
	return false
}

// follows is again for a broker that gives no identifiers.
func (c *copies) follows(key uint64, matching int, now time.Time) bool {
	if key == c.last && now.Sub(c.lastAt) <= nextCopy && c.extra < matching-1 {
		c.extra++
		return true
	}
	c.last, c.lastAt, c.extra = key, now, 0
	return false
}

// forget makes room.
func (c *copies) forget(now time.Time) {
	if len(c.seen) < mostCopied {
		return
	}
	for key, m := range c.seen {
		if now.Sub(m.at) > copiesApart {
			delete(c.seen, key)
		}
	}
	if len(c.seen) >= mostCopied {
		clear(c.seen)
	}
}

// identifier returns the identifier of the subscription to a filter: the same
// after a restart, since the broker keeps it with the session.
func identifier(filter string) int {
	const most = 268_435_455 // MQTT 5, section 3.8.2.1.2
	h := uint32(2166136261)
	for i := range len(filter) {
		h = (h ^ uint32(filter[i])) * 16777619
	}
	return int(h%most) + 1
}

// packets cuts subscriptions into SUBSCRIBE packets. A packet has one identifier
// for all its filters: one that another meets has a packet of its own, if the
// broker knows identifiers.
func (c *copies) packets(subs []Subscription, identified bool) (all [][]Subscription) {
	var rest []Subscription
	for _, s := range subs {
		if identified && slices.ContainsFunc(c.filters, func(f topic.Filter) bool { return f.String() == s.Filter }) {
			all = append(all, []Subscription{s})
		} else {
			rest = append(rest, s)
		}
	}
	return append(all, slices.Collect(slices.Chunk(rest, maxFilters))...)
}
