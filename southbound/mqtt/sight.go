package mqtt

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/payload"
)

// Seen is a topic on which messages came, for people who write rules.
type Seen struct {
	Broker  string `json:"broker"`
	Topic   string `json:"topic"`
	Sensor  string `json:"sensor,omitempty"`  // the rule that takes it; "" if none does
	Ignored bool   `json:"ignored,omitempty"` // the rule says so
	Device  string `json:"device,omitempty"`
	// Original is what the device is called, if its name is made of that.
	Original string `json:"original,omitempty"`
	// Remembered is that the device was heard in a run of the gateway before, and not
	// in this one.
	Remembered bool      `json:"remembered,omitempty"`
	Messages   uint64    `json:"messages"` // since the rules were changed last
	Last       time.Time `json:"last"`
	// Payload has the first bytes of the last message, quoted as in Go if there
	// is more in them than printable text.
	Payload string `json:"payload"`
	// Values are what the rule read last from the device, by point, "bad: REASON"
	// for what could not be read; 20 points at most. Of a topic of availability it is
	// the word.
	Values map[string]string `json:"values,omitempty"`
	// Absent are points of the rule that no message of the device has had yet.
	Absent []string `json:"absent,omitempty"`
	// Error is why the last message, or a part of it, could not be read.
	Error string `json:"error,omitempty"`
}

// sight is what was seen on a topic.
type sight struct {
	mu       sync.Mutex
	messages uint64        // guarded by mu
	first    time.Time     // guarded by mu
	last     time.Time     // guarded by mu
	begin    [excess]byte  // guarded by mu; of the last payload
	length   int           // guarded by mu; of the last payload
	problem  payload.Fault // guarded by mu
	point    string        // guarded by mu; that has the problem, "" if it is not in a point
}

func (s *sight) seen(m inlet.Message, f payload.Fault, point string) {
	s.mu.Lock()
	if s.messages++; s.messages == 1 {
		s.first = m.At
	}
	s.last, s.problem, s.point = m.At, f, point
	s.length = len(m.Payload)
	copy(s.begin[:], m.Payload)
	s.mu.Unlock()
}

// Words by which devices, or their last wills, say whether they are there.
var (
	wordsOffline = []string{"offline", "disconnected"}
	wordsOnline  = []string{"online", "connected"}
)

// said returns when the last message was, if that was one of some words, as it is or
// as state in JSON; else zero.
func (s *sight) said(words []string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.length > len(s.begin) {
		return time.Time{}
	}
	for _, path := range []string{"", "state"} {
		word, _ := payload.Word(s.begin[:s.length], path)
		if slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, word) }) {
			return s.last
		}
	}
	return time.Time{}
}

// began returns when the first message came.
func (s *sight) began() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
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
