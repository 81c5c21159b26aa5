package mqtt

import (
	"fieldbridge/southbound/mqtt/site"
	"fieldbridge/southbound/mqtt/topic"
)

// subscriptions returns what the rules want of a broker: each filter once, with
// the highest QoS, and none that another covers as well.
func subscriptions(rules []*rule) []site.Subscription {
	type wish struct {
		filter *topic.Filter
		qos    byte
	}
	var wishes []wish
	for _, r := range rules {
		if r.config.Ignore {
			continue
		}
		wishes = append(wishes, wish{&r.filter, r.config.qos()})
		if r.avail != nil {
			for _, f := range r.avail.filters() {
				wishes = append(wishes, wish{f, r.config.qos()})
			}
		}
	}
	var subs []site.Subscription
	for i, w := range wishes {
		needed := true
		for j, other := range wishes {
			same := w.filter.String() == other.filter.String()
			if i != j && other.filter.Covers(w.filter) && other.qos >= w.qos && (!same || j < i || other.qos > w.qos) {
				needed = false
			}
		}
		if needed {
			subs = append(subs, site.Subscription{Filter: w.filter.String(), QoS: w.qos})
		}
	}
	return subs
}
