package mqtt

import (
	"log/slog"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/payload"
)

// attendee is whose availability a topic tells: a device of a rule, or all that come
// through a gateway.
type attendee struct {
	rule     *rule
	device   string   // what it is called
	gateway  bool     // instead of a device
	captures []string // of the topic of the gateway
}

// attendees returns whose availability a topic tells.
func (r *router) attendees(topic string) (all []attendee) {
	for _, rule := range r.rules {
		if rule.avail == nil {
			continue
		}
		if f := rule.avail.own; f != nil {
			if captures, ok := f.Match(topic, nil); ok && allUsable(captures) {
				all = append(all, attendee{rule: rule, device: rule.avail.device.Expand(captures)})
			}
		}
		if f := rule.avail.gateway; payload.Exact && f != nil {
			if captures, ok := f.Match(topic, nil); ok {
				all = append(all, attendee{rule: rule, gateway: true, captures: slices.Clone(captures)})
			}
		}
	}
	return all
}

// feeds returns the devices that are meant, as far as they are known.
func (a *attendee) feeds(ds *devices) (all []*feed) {
	if !payload.Exact || !a.gateway {
		if f := ds.known(a.device, a.rule); f != nil {
			all = append(all, f)
		}
		return all
	}
	for _, d := range ds.all() {
		d.mu.Lock()
		if f := d.feed(a.rule); f != nil && a.rule.shared(a.captures, f.LastTopic()) {
			all = append(all, f)
		}
		d.mu.Unlock()
	}
	return all
}

// attend takes a word about the availability of devices, and returns what becomes of
// their points.
func (r *router) attend(log *slog.Logger, to *route, m inlet.Message) (all []bridge.Batch) {
	fault := payload.FaultNone
	for _, a := range to.avail {
		word, via := a.rule.avail.word(m.Payload), ""
		offline := a.rule.avail.offline.Has(word)
		if !offline && !a.rule.avail.online.Has(word) {
			fault = payload.FaultWord
			a.rule.faults.add(log, fault, a.rule.name, "availability", m)
			continue
		}
		if a.gateway {
			via = to.topic
		}
		for _, f := range a.feeds(r.devices) {
			readings := f.attend(m, offline, via)
			if len(readings) > 0 {
				all = append(all, bridge.Batch{Device: f.device.name, At: m.At, Readings: readings})
			}
		}
	}
	if to.rule == nil {
		to.seen(m, fault, "availability")
	}
	return all
}

// attend returns what becomes of the points of a device that goes, or is there again:
// then they have no value until it sends one. via is the topic of a gateway that says
// so.
func (f *feed) attend(m inlet.Message, offline bool, via string) []bridge.Reading {
	f.device.mu.Lock()
	defer f.device.mu.Unlock()
	if offline {
		f.Gone(m.At, via)
		return f.badLocked(bridge.ReasonOffline)
	}
	if !f.Back(via) {
		return nil
	}
	return f.badLocked(bridge.ReasonMissing)
}
