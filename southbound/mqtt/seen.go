package mqtt

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Seen is a topic on which messages came, for people who write rules.
type Seen struct {
	Broker   string    `json:"broker"`
	Topic    string    `json:"topic"`
	Sensor   string    `json:"sensor,omitempty"` // the rule that takes it; "" if none does
	Device   string    `json:"device,omitempty"`
	Messages uint64    `json:"messages"` // since the rules were changed last
	Last     time.Time `json:"last"`
	// Payload has the first bytes of the last message.
	Payload string `json:"payload"`
	// Error is why the last message, or a part of it, could not be read.
	Error string `json:"error,omitempty"`
}

// sight is what was seen on a topic.
type sight struct {
	mu       sync.Mutex
	messages uint64       // guarded by mu
	last     time.Time    // guarded by mu
	begin    [excess]byte // guarded by mu; of the last payload
	length   int          // guarded by mu; of the last payload
	problem  fault        // guarded by mu
}

func (s *sight) seen(m message, f fault) {
	s.mu.Lock()
	s.messages++
	s.last, s.problem = m.at, f
	s.length = len(m.payload)
	copy(s.begin[:], m.payload)
	s.mu.Unlock()
}

func (s *sight) tell(seen Seen) Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen.Messages, seen.Last = s.messages, s.last
	seen.Payload = excerpt(s.begin[:min(s.length, len(s.begin))])
	if s.problem != faultNone {
		seen.Error = faultTexts[s.problem]
	}
	return seen
}

// Seen returns the topics on which messages came since the rules were changed
// last, sorted by broker and topic; the last 20,000 of each broker at most.
func (s *Source) Seen() []Seen {
	names, brokers, _ := s.snapshot()
	var all []Seen
	for i, b := range brokers {
		r := b.router.Load()
		r.mu.RLock()
		routes := maps.Clone(r.routes)
		r.mu.RUnlock()
		for _, topic := range slices.Sorted(maps.Keys(routes)) {
			to := routes[topic]
			seen := Seen{Broker: names[i], Topic: topic, Device: to.name}
			if to.rule != nil {
				seen.Sensor = to.rule.name
			}
			all = append(all, to.tell(seen))
		}
	}
	return all
}
