package trouble

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldbridge/condition"
	"fieldbridge/order"
)

const (
	// most is how many clients with trouble are remembered: the one that had none
	// for longest makes room.
	most = 256
	// mostShown is how many of them are conditions of their own at a time.
	mostShown = 16
	// sameEvery is how often the same trouble of the same client is logged, and
	// allEvery how often anything is once many clients have trouble.
	sameEvery = time.Minute
	allEvery  = 3 * time.Second
	burst     = 20
	// lasts is how long a trouble is a condition after the last time, at the
	// least: a client that tries seldom has it three times as long as it waits.
	lasts    = 2 * time.Minute
	lastsMax = 6 * time.Hour
)

// Client is who has trouble. ID and User are as it called itself, "" if it did
// not say; Remote is its address with the port.
type Client struct{ ID, User, Remote string }

// Entry is the trouble of one client.
type Entry struct {
	Kind   *Kind
	Client Client // as it was last
	Cause  string // of the last time
	Advice string // what to do about it
	Count  uint64
	First  time.Time
	Last   time.Time

	gap     time.Duration // between the last two times
	logged  time.Time
	skipped uint64 // times since logged that were not
}

// key is what makes two troubles the same: the port changes with each try.
type key struct {
	kind           *Kind
	id, user, host string
}

// List is the trouble that the clients of a broker have. It is safe for concurrent
// use, and under its lock nothing waits.
type List struct {
	log *slog.Logger

	mu      sync.Mutex
	entries map[key]*Entry   // guarded by mu
	counts  map[*Kind]uint64 // guarded by mu; since the start
	tokens  int              // guarded by mu; lines that may be logged at once
	refill  time.Time        // guarded by mu; when tokens were last counted
}

// NewList returns a list whose log is told of each trouble, from time to time.
func NewList(log *slog.Logger) *List {
	return &List{log: log, entries: make(map[key]*Entry), counts: make(map[*Kind]uint64), tokens: burst}
}

// Note notes that a client had a trouble now, and logs it unless it was logged a
// moment ago.
func (l *List) Note(kind *Kind, who Client, cause string) { l.Advise(kind, who, cause, "") }

// Advise is Note of a cause about which something else is to be done than about
// others of its kind; advice "" is the kind's.
func (l *List) Advise(kind *Kind, who Client, cause, advice string) {
	advice = cmp.Or(advice, kind.Advice)
	who.ID, who.User = Short(who.ID), Short(who.User)
	now := time.Now()
	l.mu.Lock()
	e := l.entryLocked(kind, who, now)
	l.counts[kind]++
	e.Count++
	e.gap, e.Last, e.Client, e.Cause, e.Advice = now.Sub(e.Last), now, who, cause, advice
	tell := !kind.quiet && (e.logged.IsZero() || now.Sub(e.logged) >= sameEvery) && l.spendLocked(now)
	others := e.skipped
	if tell {
		e.logged, e.skipped = now, 0
	} else {
		e.skipped++
	}
	l.mu.Unlock()
	switch {
	case kind.quiet:
		l.log.Debug("trouble with a client", "trouble", kind.Code, "client", who.ID, "remote", who.Remote, "cause", cause)
	case tell:
		l.log.Warn("trouble with a client", "trouble", kind.Code, "client", who.ID, "user", who.User, "remote", who.Remote,
			"cause", cause, "advice", advice, "others_since_last_line", others)
	}
}

// entryLocked returns the entry of a trouble; the oldest of another makes room.
func (l *List) entryLocked(kind *Kind, who Client, now time.Time) *Entry {
	k := key{kind, who.ID, who.User, Host(who.Remote)}
	if kind == SharedID {
		k.host = "" // they are several
	}
	if e := l.entries[k]; e != nil {
		return e
	}
	if len(l.entries) >= most {
		var oldest key
		for k, e := range l.entries {
			if o := l.entries[oldest]; o == nil || e.Last.Before(o.Last) {
				oldest = k
			}
		}
		delete(l.entries, oldest)
	}
	e := &Entry{Kind: kind, First: now, Last: now}
	l.entries[k] = e
	return e
}

// spendLocked reports whether another line may be logged.
func (l *List) spendLocked(now time.Time) bool {
	if l.refill.IsZero() {
		l.refill = now
	}
	if n := int(now.Sub(l.refill) / allEvery); n > 0 {
		l.tokens, l.refill = min(l.tokens+n, burst), l.refill.Add(time.Duration(n)*allEvery)
	}
	if l.tokens == 0 {
		return false
	}
	l.tokens--
	return true
}

// Welcome is told that a client has logged in: that it was refused is over.
func (l *List) Welcome(who Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	host := Host(who.Remote)
	for k := range l.entries {
		if k.kind.is != condition.ClientRefused || k.host != host {
			continue
		}
		// Who had a wrong user, and has none of its own id, is known by its address.
		if k.id == "" || k.id == Short(who.ID) {
			delete(l.entries, k)
		}
	}
}

// Entries returns the trouble of clients, the newest first.
func (l *List) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Entry, 0, len(l.entries))
	for _, e := range l.entries {
		all = append(all, *e)
	}
	order.By(all, func(a, b Entry) int {
		return cmp.Or(b.Last.Compare(a.Last), strings.Compare(a.Client.ID+a.Client.Remote, b.Client.ID+b.Client.Remote))
	})
	return all
}

// Counts returns how often each trouble was since the start.
func (l *List) Counts() map[*Kind]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.counts)
}

// Conditions returns the trouble that lasts, of the clients of the broker called
// name.
func (l *List) Conditions(name string) (all []condition.Condition) {
	now := time.Now()
	for _, e := range l.Entries() {
		if e.Kind.is == nil || e.Count < e.Kind.least || now.Sub(e.Last) > min(max(lasts, 3*e.gap), lastsMax) {
			continue
		}
		if len(all) == mostShown {
			break
		}
		who := e.Client
		subject := "mqtt " + name + " client " + cmp.Or(who.ID, Host(who.Remote))
		all = append(all, e.Kind.is.At(subject, e.First, who.String(), e.Cause, e.Advice))
	}
	order.By(all, func(a, b condition.Condition) int {
		return cmp.Or(strings.Compare(a.Code, b.Code), strings.Compare(a.Subject, b.Subject))
	})
	// A client with two kinds of trouble is there with the newest of each code.
	return slices.CompactFunc(all,
		func(a, b condition.Condition) bool { return a.Code == b.Code && a.Subject == b.Subject })
}
