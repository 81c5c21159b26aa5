package mqtt

import (
	"log/slog"
	"slices"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/payload"
)

// attendee is a device whose availability a topic tells.
type attendee struct {
	rule   *rule
	device string // what it is called
}

// attendees returns whose availability a topic tells.
func (r *router) attendees(topic string) (all []attendee) {
	for _, rule := range r.rules {
		if rule.avail == nil {
			continue
		}
		captures, ok := rule.avail.filter.Match(topic, nil)
		if ok && !slices.ContainsFunc(captures, func(c string) bool { return !usable(c) }) {
			all = append(all, attendee{rule, rule.avail.device.Expand(captures)})
		}
	}
	return all
}

// attend takes a word about the availability of devices, and returns what becomes of
// their points.
func (r *router) attend(log *slog.Logger, to *route, m inlet.Message) (all []bridge.Batch) {
	fault := payload.FaultNone
	for _, a := range to.avail {
		word, ok := payload.Word(m.Payload, a.rule.avail.path)
		f := r.devices.known(a.device, a.rule)
		var readings []bridge.Reading
		switch {
		case ok && strings.EqualFold(word, a.rule.avail.offline):
			if f != nil {
				readings = f.gone(m.At)
			}
		case ok && strings.EqualFold(word, a.rule.avail.online):
			if f != nil {
				readings = f.back()
			}
		default:
			fault = payload.FaultType
			a.rule.faults.add(log, fault, a.rule.name, "availability", m)
		}
		if len(readings) > 0 {
			all = append(all, bridge.Batch{Device: f.device.name, At: m.At, Readings: readings})
		}
	}
	if to.rule == nil {
		to.seen(m, fault, "availability")
	}
	return all
}

// back returns what becomes of the points of a device that is there again: they have
// no value until it sends one.
func (f *feed) back() []bridge.Reading {
	f.device.mu.Lock()
	defer f.device.mu.Unlock()
	if !f.Back() {
		return nil
	}
	return f.badLocked(bridge.ReasonMissing)
}
