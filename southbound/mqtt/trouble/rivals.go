package trouble

import (
	"fmt"
	"time"
)

// Rivals tells clients that throw one another out from one that comes back: MQTT
// gives a session to whoever asks for it last. It is not safe for concurrent use.
type Rivals struct{ by map[string][]thrownOut }

// thrownOut is a connection that lost its session.
type thrownOut struct {
	remote string
	at     time.Time
}

const (
	// elsewhere is how soon a client must throw out who threw it out, from another
	// machine. A client that moved comes once.
	elsewhere = 2 * time.Minute
	// sameMachine is the same with one address, where it may be a client whose
	// connections break: then it is told from the third time on.
	sameMachine = 10 * time.Second
	// remembered is how many of a session are remembered, and mostRivals of how many
	// sessions.
	remembered = 4
	mostRivals = 1024
)

// TakenOver notes that the connection from old, which lived, lost its session to
// one from now. It returns what to tell if that is one of many, "" if not.
func (r *Rivals) TakenOver(session, old, by string, now time.Time) string {
	if r.by == nil || len(r.by) >= mostRivals && r.by[session] == nil {
		r.by = make(map[string][]thrownOut)
	}
	all := r.by[session]
	feud, same := false, 0
	for _, o := range all {
		if Host(by) != Host(old) && Host(o.remote) == Host(by) && now.Sub(o.at) < elsewhere {
			feud = true
		}
		if Host(by) == Host(old) && now.Sub(o.at) < sameMachine {
			same++
		}
	}
	r.by[session] = append(all[max(0, len(all)-remembered+1):], thrownOut{old, now})
	if !feud && same < 2 {
		return ""
	}
	return fmt.Sprintf("clients at %s and %s use the same client id and throw one another out", old, by)
}

// Forget is told that a session has ended.
func (r *Rivals) Forget(session string) { delete(r.by, session) }
