package mqtt

import (
	"maps"
	"slices"

	"fieldbridge/bridge"
)

// Devices returns how the devices are that were heard of, sorted by name.
func (s *Source) Devices() []bridge.DeviceStatus { return s.devices.status() }

// Health returns what is wrong with the brokers now.
func (s *Source) Health() []bridge.Condition {
	var all []bridge.Condition
	_, brokers, _ := s.snapshot()
	for _, b := range brokers {
		if b.embedded != nil {
			all = append(all, b.embedded.health()...)
		} else {
			all = append(all, b.site.health()...)
		}
	}
	return all
}

// snapshot returns the brokers, sorted by name, and the rules.
func (s *Source) snapshot() (names []string, brokers []*broker, rules []*rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names = slices.Sorted(maps.Keys(s.brokers))
	for _, name := range names {
		brokers = append(brokers, s.brokers[name])
	}
	return names, brokers, s.rules
}

// Observe yields the metrics of the source.
func (s *Source) Observe(yield func(bridge.Metric)) {
	names, brokers, rules := s.snapshot()
	each := func(name, help string, kind bridge.MetricKind, value func(b *broker) (float64, bool)) {
		for i, b := range brokers {
			if v, ok := value(b); ok {
				yield(bridge.Metric{Name: name, Help: help, Kind: kind, Labels: []string{"broker", names[i]}, Value: v})
			}
		}
	}
	each("fieldbridge_mqtt_messages_total", "Messages that sensors published.", bridge.Counter, func(b *broker) (float64, bool) {
		if b.embedded != nil {
			return float64(b.embedded.messages.Load()), true
		}
		return float64(b.site.messages.Load()), true
	})
	each("fieldbridge_mqtt_connected", "1 while the site broker is connected.", bridge.Gauge, func(b *broker) (float64, bool) {
		if b.site == nil {
			return 0, false
		}
		if b.site.connected() {
			return 1, true
		}
		return 0, true
	})
	each("fieldbridge_mqtt_clients", "Connections to the embedded broker.", bridge.Gauge, func(b *broker) (float64, bool) {
		if b.embedded == nil {
			return 0, false
		}
		return float64(len(b.embedded.connections())), true
	})
	each("fieldbridge_mqtt_unacknowledged", "Messages that clients wait for until they are safe.", bridge.Gauge, func(b *broker) (float64, bool) {
		if b.embedded != nil {
			return float64(b.embedded.unacknowledged()), true
		}
		return float64(b.site.unacknowledged()), true
	})
	each("fieldbridge_mqtt_refused_total", "Messages not acknowledged since the queue refused them.", bridge.Counter, func(b *broker) (float64, bool) {
		if b.embedded != nil {
			return float64(b.embedded.refused.Load()), true
		}
		return float64(b.site.refused.Load()), true
	})
	each("fieldbridge_mqtt_slow_clients_total", "Clients disconnected since they did not read what they subscribed to.", bridge.Counter, func(b *broker) (float64, bool) {
		if b.embedded == nil {
			return 0, false
		}
		return float64(b.embedded.slow.Load()), true
	})
	each("fieldbridge_mqtt_denied_clients_total", "Clients that were not let in.", bridge.Counter, func(b *broker) (float64, bool) {
		if b.embedded == nil {
			return 0, false
		}
		return float64(b.embedded.unwelcome.Load()), true
	})
	yield(bridge.Metric{Name: "fieldbridge_mqtt_unmatched_total", Help: "Messages that no sensor rule took.", Kind: bridge.Counter,
		Value: float64(s.unmatched.Load())})
	for _, r := range rules {
		for f := range faults {
			if n := r.faults.counts[f].Load(); n > 0 {
				yield(bridge.Metric{Name: "fieldbridge_mqtt_bad_payloads_total", Help: "Messages that could not be read in full.",
					Kind: bridge.Counter, Labels: []string{"sensor", r.name, "reason", f.String()}, Value: float64(n)})
			}
		}
	}
}
