package awsiot

import (
	"encoding/json"
	"log/slog"
	"time"

	"fieldbridge/bridge"
)

// lastLink is what the sink remembers over restarts: the number of the last
// connection, so that a late last will is told from a newer birth, and whether
// the last stop was clean.
type lastLink struct {
	state bridge.State // nil forgets
	log   *slog.Logger
	now   remembered
	ok    bool // the last stop was clean, or there was none
	first bool // there was none
}

type remembered struct {
	Connection uint64 `json:"connection"`
	Clean      bool   `json:"clean"` // nothing was sent in the last second before the stop
}

// earliestClock is before this program was written: a clock that shows less was
// never set.
var earliestClock = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

const lastLinkKey = "awsiot.session"

func newLastLink(state bridge.State, log *slog.Logger) *lastLink {
	m := &lastLink{state: state, log: log, ok: true}
	if state == nil {
		return m
	}
	data, err := state.Get(lastLinkKey)
	if err == nil && data == nil {
		m.first = true
		return m
	}
	if err == nil {
		err = json.Unmarshal(data, &m.now)
	}
	if err != nil {
		log.Warn("what was remembered of the last connection is unreadable", "err", err)
	}
	m.ok = err == nil && m.now.Clean
	return m
}

// clean reports whether no other process of ours can have connected just now.
func (m *lastLink) clean() bool { return m.ok }

// lastStop returns how the process before this one ended: clean, unclean, or ""
// if there was none or nothing is remembered. A stop within a second of a CONNECT
// counts as unclean.
func (m *lastLink) lastStop() string {
	switch {
	case m.state == nil || m.first:
		return ""
	case m.ok:
		return "clean"
	}
	return "unclean"
}

// connecting returns the number of the next connection: one more than the last,
// and at least the seconds since 1970, where the clock may be right. A box that
// was swapped, or a folder that was restored, goes on above the numbers of the one
// before it; connections are more than a second apart.
func (m *lastLink) connecting() uint64 {
	m.now.Connection++
	if now := time.Now(); now.After(earliestClock) {
		m.now.Connection = max(m.now.Connection, uint64(now.Unix()))
	}
	m.now.Clean = false
	m.put()
	return m.now.Connection
}

// stopped notes a clean stop.
func (m *lastLink) stopped() {
	if m.now.Connection > 0 {
		m.now.Clean = true
		m.put()
	}
}

func (m *lastLink) put() {
	if m.state == nil {
		return
	}
	data, err := json.Marshal(m.now)
	if err == nil {
		err = m.state.Put(lastLinkKey, data)
	}
	if err != nil {
		m.log.Warn("the connection's number is not saved", "err", err)
	}
}
