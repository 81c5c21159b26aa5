package mqtt

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"fieldbridge/order"
	"fieldbridge/southbound/mqtt/naming"
)

// maxSeenValues is how many values are shown of a device.
const maxSeenValues = 20

// values adds what a rule has read under a route.
func (to *route) values(seen *Seen) {
	f := to.feed.Load()
	if f == nil {
		return
	}
	seen.Device, seen.Original = f.device.name, f.device.otherName()
	f.device.mu.Lock()
	defer f.device.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(f.device.points)) {
		p := f.device.points[name]
		if p.feed != f || to.single != "" && cmp.Or(p.info.Original, name) != to.single || len(seen.Values) >= maxSeenValues {
			continue
		}
		if seen.Values == nil {
			seen.Values = make(map[string]string)
		}
		seen.Values[name] = printable(excerpt([]byte(p.value.String())))
	}
	for _, p := range to.rule.payload.Points() {
		if f.device.points[p.Name] == nil {
			seen.Absent = append(seen.Absent, p.Name)
		}
	}
}

// attendee adds whose availability a topic tells, and what it said last.
func (to *route) attendee(seen *Seen) {
	a := to.avail[0]
	seen.Sensor, seen.Device = a.rule.name, naming.Device(a.device)
	to.mu.Lock()
	defer to.mu.Unlock()
	seen.Values = map[string]string{"availability": printable(excerpt(to.begin[:min(to.length, len(to.begin))]))}
}

// untaken reports whether no rule makes anything of a topic.
func (to *route) untaken() bool { return to.rule == nil && len(to.avail) == 0 }

// Seen returns the topics on which messages came since the rules were changed
// last, sorted by broker and topic; the last 20,000 of each broker at most.
func (s *Source) Seen() []Seen {
	names, brokers, _ := s.snapshot()
	var all []Seen
	for i, b := range brokers {
		r := b.router.Load()
		r.mu.RLock()
		routes := maps.Clone(r.routes)
		r.mu.RUnlock()
		for _, topic := range slices.Sorted(maps.Keys(routes)) {
			to := routes[topic]
			seen := Seen{Broker: names[i], Topic: topic, Device: naming.Device(to.device)}
			if to.rule != nil {
				seen.Sensor, seen.Ignored = to.rule.name, to.rule.config.Ignore
				to.values(&seen)
			} else if len(to.avail) > 0 {
				to.attendee(&seen)
			}
			all = append(all, to.tell(seen))
		}
		all = append(all, s.devices.missed(names[i], time.Now())...)
	}
	return all
}

// Unmatched returns the topics that no rule takes, most recent first, most of them
// at most.
func (s *Source) Unmatched(most int) []Seen {
	names, brokers, _ := s.snapshot()
	var all []Seen
	for i, b := range brokers {
		r := b.router.Load()
		r.mu.RLock()
		for topic, to := range r.routes {
			if to.untaken() {
				all = append(all, to.tell(Seen{Broker: names[i], Topic: topic}))
			}
		}
		r.mu.RUnlock()
	}
	order.By(all, func(a, b Seen) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Topic, b.Topic))
	})
	return all[:min(most, len(all))]
}

// Listing returns what was heard since the rules were changed last.
func (s *Source) Listing() Listing {
	names, brokers, rules := s.snapshot()
	l := Listing{Topics: s.Seen()}
	for _, r := range rules {
		seen := RuleSeen{Broker: r.config.Broker, Sensor: r.name, Filter: r.config.Topic}
		seen.Messages, seen.Last = r.heard.tell()
		for i, b := range brokers {
			if names[i] == r.config.Broker && b.site != nil {
				seen.Subscription = b.site.Subscription(r.filter.String())
			}
		}
		l.Rules = append(l.Rules, seen)
	}
	l.Clients = s.Troubled()
	return l
}

// Troubled returns the clients that were refused, cut off or not taken in full.
func (s *Source) Troubled() (all []ClientTrouble) {
	names, brokers, _ := s.snapshot()
	for i, b := range brokers {
		if b.embedded == nil {
			continue
		}
		for _, e := range b.embedded.Trouble() {
			all = append(all, clientTrouble(names[i], e))
		}
	}
	return all
}
