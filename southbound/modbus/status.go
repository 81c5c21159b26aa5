package modbus

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/condition"
)

// Devices returns how each device is doing, sorted by name.
func (s *Source) Devices() []bridge.DeviceStatus {
	var all []bridge.DeviceStatus
	for _, d := range s.sorted() {
		st := d.snapshot()
		status := bridge.DeviceStatus{Device: d.spec.Name, Via: fmt.Sprintf("modbus %s unit %d", s.busName(d), d.spec.ID),
			Last: st.last, Detail: st.detail}
		reasons := make(map[bridge.Reason]int)
		for _, t := range st.tallies {
			status.Good += t.good
			status.Bad += t.bad
			for r, n := range t.reasons {
				reasons[r] += n
			}
		}
		status.Reason = mostFrequent(reasons)
		if status.Detail == "" && st.missing != "" {
			status.Detail = st.missing
		}
		if status.Detail == "" && st.learnt.Tells() {
			status.Detail = "learnt: " + st.learnt.String()
		}
		all = append(all, status)
	}
	return all
}

func mostFrequent(reasons map[bridge.Reason]int) string {
	best, most := "", 0
	for _, r := range slices.Sorted(maps.Keys(reasons)) {
		if reasons[r] > most {
			best, most = r.String(), reasons[r]
		}
	}
	return best
}

// sorted returns the devices by name.
func (s *Source) sorted() []*device {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.devices),
		func(a, b *device) int { return strings.Compare(a.spec.Name, b.spec.Name) })
}

func (s *Source) busName(d *device) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.want.buses[d.spec.bus].name
}

// running returns the buses that run, by name.
func (s *Source) running() []*bus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.buses),
		func(a, b *bus) int { return strings.Compare(a.spec.name, b.spec.name) })
}

// Buses returns how each bus is doing, sorted by name.
func (s *Source) Buses() []bridge.BusStatus {
	var all []bridge.BusStatus
	for _, b := range s.running() {
		st := b.getState()
		all = append(all, bridge.BusStatus{Bus: b.spec.name, Address: b.spec.Address.String(), Load: st.load,
			Requests: b.counts.requests.Load(), Late: b.counts.late.Load(), Down: st.since, Detail: st.detail})
	}
	return all
}

// Health returns the buses and devices that are not well.
func (s *Source) Health() []condition.Condition {
	var conditions []condition.Condition
	for _, b := range s.running() {
		if st := b.getState(); !st.since.IsZero() {
			conditions = append(conditions,
				condition.BusDown.At("bus "+b.spec.name, st.since, st.detail, b.spec.Address.String()))
		} else if !st.over.IsZero() {
			conditions = append(conditions, condition.BusOverloaded.At("bus "+b.spec.name, st.over, 100*st.load))
		}
	}
	for _, d := range s.sorted() {
		st := d.snapshot()
		lost := 0
		for _, t := range st.tallies {
			lost += t.reasons[bridge.ReasonGivenUp]
		}
		if st.missing != "" {
			conditions = append(conditions, condition.DeviceLacksModels.At("device "+d.spec.Name, st.learnt.At, st.missing))
		}
		if lost > 0 && st.missing == "" {
			conditions = append(conditions, condition.PointsGivenUp.At("device "+d.spec.Name, st.learnt.At, lost, st.learnt))
		}
		if !st.since.IsZero() {
			conditions = append(conditions, condition.DeviceDown.At("device "+d.spec.Name, st.since, st.detail))
		}
	}
	return conditions
}

// Observe yields the metrics of all buses and devices.
func (s *Source) Observe(yield func(bridge.Metric)) {
	buses, devices := s.running(), s.sorted()
	each := func(name, help string, kind bridge.MetricKind, value func(*bus) float64) {
		for _, b := range buses {
			yield(bridge.Metric{Name: "fieldbridge_modbus_" + name, Help: help, Kind: kind,
				Labels: []string{"bus", b.spec.name}, Value: value(b)})
		}
	}
	each("connected", "Whether the bus has a connection, as far as is known.", bridge.Gauge, func(b *bus) float64 {
		if b.getState().since.IsZero() {
			return 1
		}
		return 0
	})
	each("requests_total", "Requests sent, with retries.", bridge.Counter,
		func(b *bus) float64 { return float64(b.counts.requests.Load()) })
	each("late_cycles_total", "Cycles not done when the next was due.", bridge.Counter,
		func(b *bus) float64 { return float64(b.counts.late.Load()) })
	each("busy_seconds_total", "Time spent on requests.", bridge.Counter,
		func(b *bus) float64 { return float64(b.counts.busy.Load()) / 1e9 })
	each("load", "Share of the bus's time that the reads take, as measured; above 1 it can't be done.", bridge.Gauge,
		func(b *bus) float64 { return b.getState().load })
	for _, b := range buses {
		for r := range b.counts.failures {
			if n := b.counts.failures[r].Load(); n > 0 {
				yield(bridge.Metric{Name: "fieldbridge_modbus_failures_total", Help: "Requests that failed, with retries.",
					Kind:   bridge.Counter,
					Labels: []string{"bus", b.spec.name, "reason", bridge.Reason(r).String()}, Value: float64(n)})
			}
		}
	}
	for _, quality := range []string{"good", "bad"} {
		for _, d := range devices {
			n := 0
			for _, t := range d.snapshot().tallies {
				if quality == "good" {
					n += t.good
				} else {
					n += t.bad
				}
			}
			yield(bridge.Metric{Name: "fieldbridge_modbus_points", Help: "Points of a device by their last reading.",
				Kind:   bridge.Gauge,
				Labels: []string{"device", d.spec.Name, "quality", quality}, Value: float64(n)})
		}
	}
}
