package attendance

import (
	"cmp"
	"time"

	"fieldbridge/condition"
	"fieldbridge/southbound/mqtt/payload"
)

// Subject is a device under a rule.
type Subject struct {
	Device, Rule, Broker string
	Expect               Expect
	Points               Points
}

// Points are those of a device that its rule reads.
type Points interface {
	Reason() string  // why most of the bad ones are
	Battery() string // what one of them says of a battery; "" if none does
}

// Verdict is what is the matter with a device under a rule.
type Verdict struct {
	Subject
	// Kind is nil if nothing is.
	Kind  *condition.Kind
	Since time.Time
	args  []any
	// Via is the topic on which a gateway said that it is offline; "" is nobody else.
	Via string

	// What follows is for those that are silent.
	Topic, From string // of the last message
	Recalled    bool   // it was not heard in this run
	Sender      string // who From is, for people
	never       bool   // it was never heard, in no run
	battery     string // what it said of its battery last
}

// unreadAfter is how long nothing of a device can be read before that is told.
const unreadAfter = 5 * time.Second

// Moment writes a moment for a sentence, the same each time it is asked for.
func Moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Verdict finds out what is the matter with a device under a rule.
func (p *Presence) Verdict(s Subject, now time.Time) Verdict {
	v := Verdict{Subject: s, Since: p.since, Topic: p.topic, From: p.from}
	switch {
	case !p.offline.IsZero():
		v.say(condition.SensorOffline, p.offline)
		v.Via = p.via
	case !p.told.IsZero():
		v.Kind = condition.SensorQuiet
		if s.Expect.Within() > 0 {
			v.Kind = condition.SensorSilent
		}
		v.never, v.Recalled, v.battery = p.topic == "" && !p.recall, p.recall, s.Points.Battery()
	case p.topic == "" || p.recall:
	case p.unreadable(s.Expect, now):
		v.say(condition.SensorUnread, p.unread, p.fault.Text(p.point), s.Rule)
	case !p.unread.IsZero() && p.fault == payload.FaultNone && now.Sub(p.unread) >= p.patience(s.Expect):
		v.say(condition.SensorBad, p.unread, s.Points.Reason())
	case (p.fault == payload.FaultTime || p.fault == payload.FaultTimeFormat) && now.Sub(p.faulty) >= unreadAfter:
		v.say(condition.SensorClock, p.faulty, s.Rule)
	case p.point != "" && p.fault != payload.FaultNone && now.Sub(p.faulty) >= time.Minute:
		v.say(condition.SensorPartlyRead, p.faulty, p.fault.Text(p.point), s.Rule)
	}
	return v
}

// say fills in what is the matter since a moment.
func (v *Verdict) say(k *condition.Kind, since time.Time, args ...any) {
	v.Kind, v.Since, v.args = k, since, append([]any{Moment(since)}, args...)
}

// unreadable reports whether so much could not be read that the rule, or the
// device, must be wrong. A message without the rule's points may be one of another
// kind: it takes as long as if none had come.
func (p *Presence) unreadable(e Expect, now time.Time) bool {
	if p.unread.IsZero() || p.fault == payload.FaultNone {
		return false
	}
	soft := p.fault == payload.FaultMissing || p.fault == payload.FaultEmpty
	wait := unreadAfter
	if p.ever && (soft || p.unreads < 2) {
		wait = p.patience(e)
	}
	return now.Sub(p.unread) >= wait
}

// patience is how long the device may do without a value.
func (p *Presence) patience(e Expect) time.Duration {
	return cmp.Or(e.Within(), p.rhythm.Allowed())
}

// Worse reports whether v matters more than another.
func (v *Verdict) Worse(than Verdict) bool {
	if v.Kind == nil || than.Kind == nil {
		return v.Kind != nil
	}
	return v.Kind.Severity == condition.Alarm && than.Kind.Severity != condition.Alarm
}

// Silent reports whether nothing comes from the device.
func (v *Verdict) Silent() bool {
	return v.Kind == condition.SensorSilent || v.Kind == condition.SensorQuiet
}

// Condition says what is the matter. what is known of the cause of a silence, advice
// what to do about it; both may be empty.
func (v *Verdict) Condition(what, advice string) condition.Condition {
	subject := "device " + v.Device
	if !v.Silent() {
		return v.Kind.At(subject, v.Since, v.args...)
	}
	if what == "" && v.battery != "" {
		what = ", when it said " + v.battery
		advice = "see whether its battery is empty, whether it is on, and whether it reaches the broker"
	}
	since := Moment(v.Since)
	switch {
	case v.never:
		since += " (when the gateway began to wait for it)"
	case v.Recalled:
		since += " (before the last start of the gateway)"
	}
	return v.Kind.At(subject, v.Since, since, what, cmp.Or(advice,
		"see whether it has power (its battery may be empty) and whether it reaches the broker"))
}
