package modbus

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/poll"
)

// Devices returns how each device is doing, sorted by name.
func (s *Source) Devices() []bridge.DeviceStatus {
	var all []bridge.DeviceStatus
	for _, d := range s.sorted() {
		st := d.Status()
		status := bridge.DeviceStatus{Device: d.Spec.Name, Via: fmt.Sprintf("modbus %s unit %d", s.busName(d), d.Spec.ID),
			Last: st.Last, Good: st.Good, Bad: st.Bad, Unread: st.Unread, Detail: st.Detail}
		if st.Bad > 0 {
			status.Reason = mostFrequent(st.Reasons).String()
		}
		switch lost := st.Reasons[bridge.ReasonGivenUp]; {
		case lost == 0 || lost < st.Bad:
		case st.Missing != "":
			status.Detail = st.Missing
		default:
			status.Detail = givenUp(d.Spec.Fields, st.Learnt)
		}
		if status.Detail == "" && st.Missing != "" {
			status.Detail = st.Missing
		}
		if status.Detail == "" && st.Learnt.Tells() {
			status.Detail = "learnt: " + st.Learnt.String()
		}
		all = append(all, status)
	}
	return all
}

// Raw returns, by point, what stood in the registers of a device when they were
// read last, for people; nil for a device that is not of this source.
func (s *Source) Raw(device string) map[string]string {
	s.mu.Lock()
	d := s.devices[device]
	s.mu.Unlock()
	if d == nil {
		return nil
	}
	return d.Raw()
}

// mostFrequent returns the reason that most points are bad for, of several the first.
func mostFrequent(reasons map[bridge.Reason]int) (best bridge.Reason) {
	most := 0
	for r, n := range reasons {
		if n > most || n == most && r < best {
			best, most = r, n
		}
	}
	return best
}

// sorted returns the devices by name.
func (s *Source) sorted() []*device {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.devices),
		func(a, b *device) int { return strings.Compare(a.Spec.Name, b.Spec.Name) })
}

func (s *Source) busName(d *device) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.want.Buses[d.Spec.Bus].Name
}

// running returns the buses that run, by name.
func (s *Source) running() []*poll.Bus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.buses),
		func(a, b *poll.Bus) int { return strings.Compare(a.Spec.Name, b.Spec.Name) })
}

// Buses returns how each bus is doing, sorted by name.
func (s *Source) Buses() []bridge.BusStatus {
	var all []bridge.BusStatus
	for _, b := range s.running() {
		st := b.Status()
		all = append(all, bridge.BusStatus{Bus: b.Spec.Name, Address: b.Spec.Address.String(), Load: st.Load,
			Requests: st.Requests, Late: st.Late, Down: st.Down, Detail: st.Detail, Silent: s.silence(b).since})
	}
	return all
}

// Observe yields the metrics of all buses and devices.
func (s *Source) Observe(yield func(bridge.Metric)) {
	buses, devices := s.running(), s.sorted()
	each := func(name, help string, kind bridge.MetricKind, value func(*poll.Bus) float64) {
		for _, b := range buses {
			yield(bridge.Metric{Name: "fieldbridge_modbus_" + name, Help: help, Kind: kind,
				Labels: []string{"bus", b.Spec.Name}, Value: value(b)})
		}
	}
	each("connected", "Whether the bus has a connection, as far as is known.", bridge.Gauge, func(b *poll.Bus) float64 {
		if b.Status().Down.IsZero() {
			return 1
		}
		return 0
	})
	each("requests_total", "Requests sent, with retries.", bridge.Counter,
		func(b *poll.Bus) float64 { return float64(b.Status().Requests) })
	each("late_cycles_total", "Cycles not done when the next was due.", bridge.Counter,
		func(b *poll.Bus) float64 { return float64(b.Status().Late) })
	each("stray_answers_total", "Answers of another transaction or unit that were thrown away (Modbus TCP).",
		bridge.Counter, func(b *poll.Bus) float64 { return float64(b.Status().Strays) })
	each("busy_seconds_total", "Time spent on requests.", bridge.Counter,
		func(b *poll.Bus) float64 { return b.Status().Busy.Seconds() })
	each("load", "Share of the bus's time that the reads take, as measured; above 1 it cannot be done.", bridge.Gauge,
		func(b *poll.Bus) float64 { return b.Status().Load })
	for _, b := range buses {
		for r := range bridge.Reasons {
			if n := b.Failures(bridge.Reason(r)); n > 0 {
				yield(bridge.Metric{Name: "fieldbridge_modbus_failures_total", Help: "Requests that failed, with retries.",
					Kind:   bridge.Counter,
					Labels: []string{"bus", b.Spec.Name, "reason", bridge.Reason(r).String()}, Value: float64(n)})
			}
		}
	}
	for _, d := range devices {
		st := d.Status()
		for _, o := range []struct {
			outcome string
			n       uint64
		}{{"done", st.Upkeep - st.UpkeepFailed}, {"failed", st.UpkeepFailed}} {
			if d.Spec.Upkeep != nil {
				yield(bridge.Metric{Name: "fieldbridge_modbus_upkeep_total",
					Help: "Writes that the gateway makes by itself (keep, on_connect), by how they went.",
					Kind: bridge.Counter, Labels: []string{"device", d.Spec.Name, "outcome", o.outcome}, Value: float64(o.n)})
			}
		}
	}
	for _, quality := range []string{"good", "bad"} {
		for _, d := range devices {
			n := d.Status().Good
			if quality == "bad" {
				n = d.Status().Bad
			}
			yield(bridge.Metric{Name: "fieldbridge_modbus_points", Help: "Points of a device by their last reading.",
				Kind:   bridge.Gauge,
				Labels: []string{"device", d.Spec.Name, "quality", quality}, Value: float64(n)})
		}
	}
}
