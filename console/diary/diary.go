// Package diary remembers what came and went lately: starts of the gateway, and what
// was wrong with it. It is kept over restarts.
package diary

import (
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"fieldbridge/condition"
)

const (
	// Most is how many events are remembered.
	Most = 64
	// mostText bounds what is kept of a sentence.
	mostText = 300
	// SaveEvery bounds what the flash has to bear: some 15 KB each time, and only
	// after an event. A crash takes what came since.
	SaveEvery = 15 * time.Minute

	key = "diary"
)

// Kind says what an event is.
type Kind string

// The kinds.
const (
	Started Kind = "started" // the gateway
	Begins  Kind = "begins"  // a condition
	Ends    Kind = "ends"
)

// Event is something that happened.
type Event struct {
	At       time.Time          `json:"at"`
	Kind     Kind               `json:"kind"`
	Severity condition.Severity `json:"severity,omitempty"`
	Subject  string             `json:"subject,omitempty"`
	Text     string             `json:"text,omitempty"`
	For      time.Duration      `json:"for_ns,omitempty"` // how long it lasted, of one that ends
}

// State is a durable memory that waits for nothing.
type State interface {
	Get(key string) ([]byte, error) // nil for a key that was never noted
	Note(key string, value []byte) error
}

// Diary is the newest events. It is safe for concurrent use.
type Diary struct {
	state State
	log   *slog.Logger

	mu     sync.Mutex
	events []Event     // guarded by mu; oldest first
	saved  time.Time   // guarded by mu; when they were saved last
	later  *time.Timer // guarded by mu; nil while all is saved
}

// Open returns what state remembers, with the start of the gateway after it.
func Open(state State, version string, log *slog.Logger) *Diary {
	d := &Diary{state: state, log: log}
	data, err := state.Get(key)
	if err == nil && len(data) > 0 {
		err = json.Unmarshal(data, &d.events)
	}
	if err != nil {
		d.events = nil
		log.Warn("what happened before the start cannot be read and is forgotten", "err", err)
	}
	d.add(Event{At: time.Now(), Kind: Started, Text: version})
	return d
}

// Changed takes note of a condition that begins or has ended.
func (d *Diary) Changed(c condition.Condition, ended bool) {
	e := Event{At: time.Now(), Kind: Begins, Severity: c.Severity, Subject: c.Subject, Text: c.Text}
	if ended {
		e.Kind, e.For = Ends, time.Since(c.Since)
	}
	if text := []rune(e.Text); len(text) > mostText {
		e.Text = string(text[:mostText]) + "…"
	}
	d.add(e)
}

func (d *Diary) add(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
	d.events = slices.Delete(d.events, 0, max(0, len(d.events)-Most))
	if d.later == nil {
		d.later = time.AfterFunc(time.Until(d.saved.Add(SaveEvery)), d.save)
	}
}

// save saves all events. It is called at most each [SaveEvery], and at the end.
func (d *Diary) save() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.later == nil {
		return
	}
	d.later.Stop()
	d.later, d.saved = nil, time.Now()
	data, err := json.Marshal(d.events)
	if err == nil {
		err = d.state.Note(key, data)
	}
	if err != nil {
		d.log.Debug("events not saved", "err", err) // the state tells of its disk by itself
	}
}

// Close saves what is not saved yet, before the state is closed.
func (d *Diary) Close() { d.save() }

// Events returns the events, the newest first.
func (d *Diary) Events() []Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	events := slices.Clone(d.events)
	slices.Reverse(events)
	return events
}

// WellSince returns when the last condition ended, or the start if none did since.
func (d *Diary) WellSince() time.Time {
	for _, e := range d.Events() {
		if e.Kind == Ends || e.Kind == Started {
			return e.At
		}
	}
	return time.Time{}
}
