package mqtt

import (
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/payload"
)

// Seen is a topic on which messages came, for people who write rules.
type Seen struct {
	Broker   string    `json:"broker"`
	Topic    string    `json:"topic"`
	Sensor   string    `json:"sensor,omitempty"` // the rule that takes it; "" if none does
	Device   string    `json:"device,omitempty"`
	Messages uint64    `json:"messages"` // since the rules were changed last
	Last     time.Time `json:"last"`
	// Payload has the first bytes of the last message, quoted as in Go if there
	// is more in them than printable text.
	Payload string `json:"payload"`
	// Values are what the rule read last from the device, by point, "bad: REASON"
	// for what could not be read; 20 points at most.
	Values map[string]string `json:"values,omitempty"`
	// Absent are points of the rule that no message of the device has had yet.
	Absent []string `json:"absent,omitempty"`
	// Error is why the last message, or a part of it, could not be read.
	Error string `json:"error,omitempty"`
}

// maxSeenValues is how many values are shown of a device.
const maxSeenValues = 20

// sight is what was seen on a topic.
type sight struct {
	mu       sync.Mutex
	messages uint64        // guarded by mu
	last     time.Time     // guarded by mu
	begin    [excess]byte  // guarded by mu; of the last payload
	length   int           // guarded by mu; of the last payload
	problem  payload.Fault // guarded by mu
	point    string        // guarded by mu; that has the problem, "" if it is not in a point
}

func (s *sight) seen(m inlet.Message, f payload.Fault, point string) {
	s.mu.Lock()
	s.messages++
	s.last, s.problem, s.point = m.At, f, point
	s.length = len(m.Payload)
	copy(s.begin[:], m.Payload)
	s.mu.Unlock()
}

func (s *sight) tell(seen Seen) Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen.Messages, seen.Last = s.messages, s.last
	seen.Payload = printable(excerpt(s.begin[:min(s.length, len(s.begin))]))
	if s.problem != payload.FaultNone {
		seen.Error = s.problem.Text(s.point)
	}
	return seen
}

// printable quotes a text that a terminal could mistake for something else.
func printable(s string) string {
	for _, r := range s {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return s
}

// values adds what a rule has read under a route.
func (to *route) values(seen *Seen) {
	f := to.feed.Load()
	if f == nil {
		return
	}
	f.device.mu.Lock()
	defer f.device.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(f.device.points)) {
		p := f.device.points[name]
		if p.feed != f || to.single != "" && name != to.single || len(seen.Values) >= maxSeenValues {
			continue
		}
		if seen.Values == nil {
			seen.Values = make(map[string]string)
		}
		seen.Values[name] = printable(excerpt([]byte(p.value.String())))
	}
	for _, p := range to.rule.payload.Points() {
		if f.device.points[p.Name] == nil {
			seen.Absent = append(seen.Absent, p.Name)
		}
	}
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
				to.values(&seen)
			}
			all = append(all, to.tell(seen))
		}
	}
	return all
}
