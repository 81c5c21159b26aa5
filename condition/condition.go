// Package condition is what can be wrong with a gateway: one list for the status,
// the page, /healthz, the shadow, the status topic and the log.
//
// A [Kind] is declared once, in kinds.go, with a code that programs may rely on, a
// severity, a sentence and what to do. The part that finds it raises it, in one of
// two ways: what follows from the part's state is made when it is asked for, by
// [Kind.At]; what begins and ends at moments is raised and cleared in a [List]. The
// views show what they are given and phrase nothing of their own.
//
// It stands on the ground: it imports the standard library alone.
package condition

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Severity says how bad a condition is.
type Severity string

// The severities.
const (
	Warning Severity = "warning" // degraded; nothing is lost
	Alarm   Severity = "alarm"   // someone must act, or data will be or is lost
)

// Kind is one thing that can be wrong.
type Kind struct {
	Code     string // for programs, as bus_down: it is unique and never changes
	Severity Severity
	// Sentence says what is wrong, Action what to do; in both, %s and the like
	// stand for what the part adds, in this order. Action is empty where what the
	// part adds ends in what to do.
	Sentence, Action string
}

// Condition is something that is wrong at present. Code and subject name it: no two
// that a gateway has at a time share both.
type Condition struct {
	Code     string    `json:"code"`
	Severity Severity  `json:"severity"`
	Subject  string    `json:"subject"` // "uplink", "queue", "device boiler"
	Text     string    `json:"text"`    // what is wrong: what to do
	Since    time.Time `json:"since"`
}

// Reporter is a part of the gateway that can be unwell.
type Reporter interface {
	// Health returns what is wrong now; nothing means healthy. It is safe for
	// concurrent use and does not wait for I/O.
	Health() []Condition
}

// At returns the condition of a subject since a moment. args fill in the sentence
// and the action.
func (k *Kind) At(subject string, since time.Time, args ...any) Condition {
	text := k.Sentence
	if k.Action != "" {
		text += ": " + k.Action
	}
	return Condition{Code: k.Code, Severity: k.Severity, Subject: subject, Text: fmt.Sprintf(text, args...), Since: since}
}

// String is the condition for a log or a list: of what, what is wrong, what to do.
func (c Condition) String() string { return c.Subject + ": " + c.Text }

// Compare orders conditions as a person wants to see them: alarms first, then what
// began first.
func Compare(a, b Condition) int {
	return cmp.Or(rank(a.Severity)-rank(b.Severity), a.Since.Compare(b.Since), cmp.Compare(a.Subject, b.Subject),
		cmp.Compare(a.Code, b.Code))
}

func rank(s Severity) int {
	if s == Alarm {
		return 0
	}
	return 1
}

// List is what is wrong with a part that notices when something begins and ends.
// The zero List is empty. It is safe for concurrent use.
type List struct {
	mu     sync.Mutex
	raised []Condition // guarded by mu; sorted by code and subject
}

// Raise puts a condition of a subject on the list. If it is there, only its text
// changes; began is that it was not.
func (l *List) Raise(k *Kind, subject string, args ...any) (c Condition, began bool) {
	c = k.At(subject, time.Now(), args...)
	l.mu.Lock()
	defer l.mu.Unlock()
	i, found := l.find(k, subject)
	if found {
		c.Since = l.raised[i].Since
		l.raised[i] = c
	} else {
		l.raised = slices.Insert(l.raised, i, c)
	}
	return c, !found
}

// Clear takes a condition of a subject off the list and returns it; ended is that
// it was there.
func (l *List) Clear(k *Kind, subject string) (c Condition, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, found := l.find(k, subject)
	if !found {
		return c, false
	}
	c = l.raised[i]
	l.raised = slices.Delete(l.raised, i, i+1)
	return c, true
}

// Has reports whether a condition of a subject is on the list.
func (l *List) Has(k *Kind, subject string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, found := l.find(k, subject)
	return found
}

func (l *List) find(k *Kind, subject string) (int, bool) {
	return slices.BinarySearchFunc(l.raised, k, func(c Condition, k *Kind) int {
		return cmp.Or(cmp.Compare(c.Code, k.Code), cmp.Compare(c.Subject, subject))
	})
}

// Health implements [Reporter].
func (l *List) Health() []Condition {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.raised)
}
