package uplink

import (
	"math/rand/v2"
	"time"
)

const (
	// ConnectPause is the least time between two CONNECTs: AWS takes one per
	// second and client id.
	ConnectPause = 1100 * time.Millisecond
	// healthyAfter is how long a connection must be up, with a message
	// acknowledged, until earlier failures are forgotten.
	healthyAfter = 30 * time.Second
	// TakeoverMemory is how long a takeover counts: two gateways with one identity
	// take the session from each other again and again.
	TakeoverMemory = time.Hour
	// soon is the longest wait for the first patience attempts in a row, of two
	// minutes together: a cloud that is well again finds us back within 10 s. Beyond,
	// each attempt costs 5 KB of a metered line for nothing.
	soon     = 8 * time.Second
	patience = 30
	// takeoverPause is the least wait after another client took over ours:
	// coming back at once would throw that one out, and so on. It doubles each
	// time up to mostTakeover, so that two gateways with one identity do not keep
	// each other from working.
	takeoverPause = 30 * time.Second
	mostTakeover  = 15 * time.Minute
)

// Schedule says when to try next: exponential from min to max, with a rest between
// them and with full jitter,
// and with a memory over connections that did not last. The first attempt after a
// start comes within min: after a power cut many start at once, too, but not
// within the same second, and someone may stand in front of this one. Attempts
// that did not reach the port do not count, see [Attempt].
type Schedule struct {
	attempt int           // how many the cloud has refused, or ended soon
	lost    bool          // a connection, and no attempt has been made since
	away    bool          // the port did not answer to the last attempt
	own     bool          // ... for a reason of our own
	began   time.Time     // the last attempt
	last    time.Time     // the last CONNECT, or when a process before us may have sent one
	floor   time.Duration // least wait for the next attempt
	taken   time.Duration // the floor after the last takeover; 0 if that was long ago
}

// Next returns how long a client waits before the next attempt.
func (s *Schedule) Next(cfg Backoff, client string, now time.Time) time.Duration {
	wait := knockPause() - now.Sub(s.began)
	if !s.away {
		limit := s.limit(cfg)
		wait = rand.N(limit + 1)
		if s.lost && limit <= cfg.spread() {
			wait = cfg.slot(client, now) // others have lost theirs, too
		}
		wait = max(wait, s.floor)
	}
	if !s.last.IsZero() {
		wait = max(wait, ConnectPause-now.Sub(s.last))
	}
	return max(wait, 0)
}

// limit returns the longest wait after so many attempts: it doubles up to soon, stays
// there for the next ones, and then doubles up to cfg.Max.
func (s *Schedule) limit(cfg Backoff) time.Duration {
	least, most := cfg.Min.D(), cfg.Max.D()
	shift := max(s.attempt-1, 0)
	if patient := max(soon, cfg.spread()); most > patient {
		if s.attempt <= patience {
			most = patient
		} else {
			least, shift = max(patient, least), s.attempt-patience
		}
	}
	if shift < 30 {
		return min(most, least<<shift)
	}
	return most
}

// Soonest returns how long to wait at least, whatever has changed: AWS's pause.
func (s *Schedule) Soonest() time.Duration { return max(ConnectPause-time.Since(s.last), 0) }

// Sent notes that a CONNECT is sent now, or may have been by a process before.
func (s *Schedule) Sent() { s.last = time.Now() }

// Away reports whether the last attempt did not reach the port; alone is that
// the reason was our own, so that nobody else waits for it.
func (s *Schedule) Away() (away, alone bool) { return s.away, s.own }

// Yields reports whether another client has taken our session over, and this
// one waits.
func (s *Schedule) Yields() bool { return s.floor > 0 }

// Begin notes that an attempt begins.
func (s *Schedule) Begin(now time.Time) {
	s.began = now
	s.floor, s.lost = 0, false
}

// Failed notes why an attempt failed.
func (s *Schedule) Failed(err error) {
	if s.away, s.own = portAway(err); !s.away {
		s.attempt++
	}
}

// Ended notes how a connection went that was up; ours says that we ended it.
func (s *Schedule) Ended(up time.Duration, acknowledged, takenOver, ours bool) {
	s.attempt++
	s.away, s.lost = false, !ours
	if up >= healthyAfter && acknowledged {
		s.attempt = 1
	}
	if up >= TakeoverMemory {
		s.taken = 0
	}
	if takenOver {
		s.taken = min(max(2*s.taken, takeoverPause), mostTakeover)
		s.floor = s.taken
		if s.taken > takeoverPause {
			s.floor += rand.N(takeoverPause) // the other one counts, too
		}
	}
}
