package attendance

import (
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/payload"
)

// Presence is how a device is there under a rule. All spans are measured by the
// monotonic clock: one that is set makes nobody silent. It has no lock.
type Presence struct {
	rhythm Rhythm
	heard  time.Time     // the last message; since when it is waited for if there was none
	before time.Duration // how long it was silent in the runs before, as long as it is
	wall   time.Time     // when it was heard in a run before; zero if that is not known
	recall bool          // not heard in this run, but in one before
	born   time.Time     // its first message; zero if it was known before this run
	told   time.Time     // when it was last said to be silent; zero if it is not
	since  time.Time     // by the wall clock, when told was set

	topic, from string   // of the last message
	points      []string // of the runs before

	unread  time.Time     // since when no message had a good value; zero if the last one had
	unreads int           // messages since then
	ever    bool          // there was a good value
	fault   payload.Fault // of the last message
	was     payload.Fault // of the one before
	point   string        // that has the fault, "" if it is not in a point
	faulty  time.Time     // since when each message has this fault
	offline time.Time     // since when it says that it is gone; zero if it does not
	via     string        // the topic of a gateway that says so; "" is the device itself
}

// Sign is a message of a device.
type Sign struct {
	Topic, From string
	At          time.Time
	Stale       bool // it was kept somewhere, and is no sign of life
}

// Hear notes a message that was read. good is that a value was in it.
func (p *Presence) Hear(s Sign, good bool) {
	if p.topic == "" && !p.recall {
		p.born = s.At
	}
	if p.heard != s.At || p.topic != s.Topic { // or another part of the same message
		p.was, p.fault = p.fault, payload.FaultNone
	}
	p.topic, p.from = s.Topic, s.From
	switch {
	case good:
		p.unread, p.unreads, p.ever, p.offline = time.Time{}, 0, true, time.Time{}
	case p.unread.IsZero():
		p.unread, p.unreads = s.At, 1
	default:
		p.unreads++
	}
	if s.Stale {
		if p.heard.IsZero() {
			p.heard = s.At
		}
		return
	}
	p.rhythm.Heard(s.At)
	p.heard, p.told, p.recall, p.before = s.At, time.Time{}, false, 0
}

// Blame notes that the last message, or a part of it, could not be read.
func (p *Presence) Blame(s Sign, f payload.Fault, point string) {
	if p.heard != s.At || p.topic != s.Topic {
		p.Hear(s, false) // nothing of it was noted
	}
	if p.fault != payload.FaultNone {
		return // the first one in a message counts
	}
	if p.was != f || p.point != point || p.faulty.IsZero() {
		p.faulty = s.At
	}
	p.fault, p.point = f, point
}

// Begin starts the waiting for the first message, and reports whether it did.
func (p *Presence) Begin(now time.Time) bool {
	if !p.heard.IsZero() {
		return false
	}
	p.heard = now
	return true
}

// Gone notes that the device says that it goes, or a gateway for it, on the topic via.
func (p *Presence) Gone(at time.Time, via string) {
	if p.offline.IsZero() {
		p.offline, p.via = at, via
	}
}

// Back notes that who said that the device is gone says that it is there, and reports
// whether it was gone: a gateway that is back knows nothing of a device that said so
// itself.
func (p *Presence) Back(via string) bool {
	if p.offline.IsZero() || p.via != via {
		return false
	}
	p.offline = time.Time{}
	return true
}

// LastTopic is that of the last message, "" if there was none.
func (p *Presence) LastTopic() string { return p.topic }

// Silent returns for how long nobody heard the device while the gateway listened.
func (p *Presence) Silent(now time.Time) time.Duration { return now.Sub(p.heard) + p.before }

// Quiet returns since when the device is silent for too long, by the wall clock; ok is
// false while it is not.
func (p *Presence) Quiet() (since time.Time, ok bool) { return p.since, !p.told.IsZero() }

// Born returns when the device was heard first, zero if that was in a run before.
func (p *Presence) Born() time.Time { return p.born }

// due returns when the device is silent for too long, by what is expected of it;
// false if nothing is.
func (p *Presence) due(e Expect) (time.Time, bool) {
	switch within := e.Within(); {
	case within > 0:
		return p.heard.Add(within), true
	case !e.Auto():
		return time.Time{}, false
	}
	allowed := p.rhythm.Allowed() - p.before
	if p.recall {
		// It has to find the gateway again first.
		allowed = max(allowed, LeastQuiet)
	}
	return p.heard.Add(allowed), true
}

// Overdue finds out whether the device is silent for too long. tell is that its points
// are bad, which was not said before or is to be repeated; again is when to look
// again, 0 if there is no hurry.
func (p *Presence) Overdue(now time.Time, e Expect) (tell bool, again time.Duration) {
	due, ok := p.due(e)
	alarm := e.Within() > 0
	switch {
	case !ok, !p.offline.IsZero(), !p.told.IsZero() && !alarm:
		return false, 0
	case !p.told.IsZero():
		due = p.told.Add(bridge.BadHeartbeat)
	}
	if now.Before(due) {
		return false, due.Sub(now)
	}
	if p.told.IsZero() {
		p.since = p.lastHeard(now)
	}
	p.told = now
	return alarm, bridge.BadHeartbeat
}

// lastHeard returns when the device was heard last, by the wall clock as it is now:
// it may have been set since then.
func (p *Presence) lastHeard(now time.Time) time.Time {
	if p.recall && !p.wall.IsZero() && p.wall.Before(now) {
		return p.wall
	}
	at := p.heard.Round(0)
	since := now.Round(0).Add(-p.Silent(now))
	if p.before == 0 && since.Sub(at).Abs() < time.Minute {
		return at
	}
	return since.Truncate(time.Second)
}

// Entry fills in what is to be remembered; false while the device was never heard.
func (p *Presence) Entry(e *Entry, now time.Time) bool {
	if p.topic == "" && !p.recall {
		return false
	}
	e.Rhythm, e.Silent, e.Told, e.Points = p.rhythm, p.Silent(now), !p.told.IsZero(), p.points
	e.Topic, e.From = p.topic, p.from
	if e.Told || p.recall {
		e.Heard = p.lastHeard(now)
	}
	return true
}

// Recall takes over what is remembered, unless the device was heard in this run.
func (p *Presence) Recall(e Entry, now time.Time) bool {
	if p.topic != "" {
		return false
	}
	p.recall, p.rhythm, p.heard, p.before, p.wall = true, e.Rhythm, now, e.Silent, e.Heard
	p.topic, p.from, p.points = e.Topic, e.From, e.Points
	p.rhythm.Pause()
	if e.Told {
		p.since = p.lastHeard(now)
		p.told = now.Add(-bridge.BadHeartbeat) // its points are bad in this run, too
	}
	return true
}

// Recalled reports whether the device was heard in a run before and not in this one.
func (p *Presence) Recalled() bool { return p.recall }
