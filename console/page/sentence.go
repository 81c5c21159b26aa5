package page

import (
	"cmp"
	"slices"
	"time"

	"fieldbridge/condition"
	"fieldbridge/order"
)

// Headline is what the page says first.
type Headline struct {
	Level  string // well, waits, look or alarm: for the colour
	Title  string
	Detail string
}

// headline says how the gateway is in one sentence, and what it means for the data.
func (l Language) headline(s *State) Headline {
	h := Headline{Level: "well", Title: l.say("All is well"),
		Detail: l.say("for %s", l.span(s.Now.Sub(s.WellSince)))}
	others := false
	for _, c := range s.Conditions {
		switch {
		case c.Severity == condition.Alarm:
			h.Level = "alarm"
		case c.Code != condition.UplinkDown.Code:
			others = true
		}
	}
	switch {
	case len(s.Conditions) == 0:
		return h
	case h.Level == "alarm":
		h.Title = l.say("Someone must act")
	case others:
		h.Level, h.Title = "look", l.say("It works, and something wants a look")
	default:
		h.Level, h.Title = "waits", l.say("The cloud is away, readings are kept")
	}
	h.Detail = l.say("for %s", l.span(s.Now.Sub(slices.MinFunc(s.Conditions, func(a, b condition.Condition) int {
		return a.Since.Compare(b.Since)
	}).Since)))
	return h
}

// delivered says what of the readings is in the cloud.
func (l Language) delivered(s *State) string {
	waiting := s.Queue.Ledger.Waiting.Readings
	switch {
	case s.Link.Connected && s.Queue.Backlog.Readings > 0:
		return l.say("%s older readings are on their way to the cloud", number(s.Queue.Backlog.Readings))
	case s.Link.Connected:
		return l.say("readings arrive in the cloud")
	case waiting == 0:
		return l.say("nothing waits yet")
	}
	return l.count(int(waiting), "%s reading waits here", "%s readings wait here")
}

// room says for how long the queue can hold what comes.
func (l Language) room(s *State) string {
	if s.Queue.Lasts <= 0 {
		return ""
	}
	if s.Link.Connected {
		return l.say("the cloud may be away for %s", l.span(s.Queue.Lasts))
	}
	return l.say("room for %s more", l.span(s.Queue.Lasts))
}

// summary counts devices and values.
func (l Language) summary(s *State) string {
	if len(s.Devices) == 0 {
		return l.say("no device has been heard yet")
	}
	good, bad := 0, 0
	for i := range s.Devices {
		good, bad = good+s.Devices[i].Good, bad+s.Devices[i].Bad
	}
	text := l.count(len(s.Devices), "%s device", "%s devices") + ", " + l.count(good+bad, "%s value", "%s values")
	if bad == 0 {
		return text + l.say(", all good")
	}
	return text + l.say(", %s of them bad", number(uint64(bad)))
}

// sorted returns what is wrong, alarms first, then what began first.
func sorted(conditions []condition.Condition) []condition.Condition {
	all := slices.Clone(conditions)
	order.Stably(all, func(a, b condition.Condition) int {
		rank := func(c condition.Condition) int {
			if c.Severity == condition.Alarm {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Since.Compare(b.Since), natural(a.Subject, b.Subject))
	})
	return all
}

// Left of a certificate from which on people should know.
const soon = 30 * 24 * time.Hour
