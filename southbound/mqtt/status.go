package mqtt

import (
	"maps"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/southbound/mqtt/broker"
	"fieldbridge/southbound/mqtt/payload"
	"fieldbridge/southbound/mqtt/site"
)

// Devices returns how the devices are that were heard of, sorted by name.
func (s *Source) Devices() []bridge.DeviceStatus { return s.devices.status() }

// Health returns what is wrong with the brokers now.
func (s *Source) Health() []condition.Condition {
	var all []condition.Condition
	names, brokers, _ := s.snapshot()
	for _, b := range brokers {
		all = append(all, b.Health()...)
		all = append(all, b.router.Load().health()...)
	}
	return append(all, s.devices.absences(time.Now(), newSearcher(names, brokers))...)
}

// snapshot returns the brokers, sorted by name, and the rules.
func (s *Source) snapshot() (names []string, brokers []*way, rules []*rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names = slices.Sorted(maps.Keys(s.brokers))
	for _, name := range names {
		brokers = append(brokers, s.brokers[name])
	}
	return names, brokers, s.rules
}

// brokerMetric is a metric of brokers; embedded or site is nil if the kind of
// broker does not have it.
type brokerMetric struct {
	name, help string
	kind       bridge.MetricKind
	embedded   func(broker.Counts) float64
	site       func(site.Counts) float64
}

var brokerMetrics = []brokerMetric{
	{"fieldbridge_mqtt_messages_total", "Messages that sensors published.", bridge.Counter,
		func(c broker.Counts) float64 { return float64(c.Messages) },
		func(c site.Counts) float64 { return float64(c.Messages) }},
	{"fieldbridge_mqtt_unacknowledged", "Messages that clients wait for until they are safe.", bridge.Gauge,
		func(c broker.Counts) float64 { return float64(c.Unacknowledged) },
		func(c site.Counts) float64 { return float64(c.Unacknowledged) }},
	{"fieldbridge_mqtt_refused_total", "Messages not acknowledged since the queue refused them.", bridge.Counter,
		func(c broker.Counts) float64 { return float64(c.Refused) },
		func(c site.Counts) float64 { return float64(c.Refused) }},
	{"fieldbridge_mqtt_connected", "1 while the site broker is connected.", bridge.Gauge,
		nil, func(c site.Counts) float64 { return oneIf(c.Connected) }},
	{"fieldbridge_mqtt_clients", "Connections to the embedded broker.", bridge.Gauge,
		func(c broker.Counts) float64 { return float64(c.Clients) }, nil},
	{"fieldbridge_mqtt_slow_clients_total", "Clients disconnected since they did not read what they subscribed to.",
		bridge.Counter,
		func(c broker.Counts) float64 { return float64(c.Slow) }, nil},
	{"fieldbridge_mqtt_denied_clients_total", "Clients that were not let in.", bridge.Counter,
		func(c broker.Counts) float64 { return float64(c.Denied) }, nil},
}

// value returns the metric of a broker, and whether it has it.
func (m *brokerMetric) value(b *way) (float64, bool) {
	switch {
	case b.embedded != nil && m.embedded != nil:
		return m.embedded(b.embedded.Counts()), true
	case b.site != nil && m.site != nil:
		return m.site(b.site.Counts()), true
	}
	return 0, false
}

// Observe yields the metrics of the source.
func (s *Source) Observe(yield func(bridge.Metric)) {
	names, brokers, rules := s.snapshot()
	for _, m := range brokerMetrics {
		for i, b := range brokers {
			if v, ok := m.value(b); ok {
				yield(bridge.Metric{Name: m.name, Help: m.help, Kind: m.kind, Labels: []string{"broker", names[i]}, Value: v})
			}
		}
	}
	for i, b := range brokers {
		if b.embedded == nil {
			continue
		}
		for kind, n := range b.embedded.TroubleCounts() {
			yield(bridge.Metric{Name: "fieldbridge_mqtt_client_trouble_total",
				Help: "Clients refused, cut off or not taken in full, by what it was.",
				Kind: bridge.Counter, Labels: []string{"broker", names[i], "trouble", kind}, Value: float64(n)})
		}
	}
	yield(bridge.Metric{Name: "fieldbridge_mqtt_unmatched_total", Help: "Messages that no sensor rule took.",
		Kind:  bridge.Counter,
		Value: float64(s.unmatched.Load())})
	for _, r := range rules {
		for f := range payload.Faults {
			if n := r.faults.counts[f].Load(); n > 0 {
				yield(bridge.Metric{Name: "fieldbridge_mqtt_bad_payloads_total", Help: "Messages that could not be read in full.",
					Kind: bridge.Counter, Labels: []string{"sensor", r.name, "reason", f.String()}, Value: float64(n)})
			}
		}
	}
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
