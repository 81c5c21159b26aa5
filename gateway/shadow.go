package gateway

import (
	"math"

	"fieldbridge/bridge"
	"fieldbridge/gateway/control"
	"fieldbridge/store/figures"
)

// shadowReport is what the gateway tells of itself in its shadow, beside what
// the session knows. Values are rounded so that only what matters is a change:
// each change is a message.
func shadowReport(s control.Status) map[string]any {
	devices := make(map[string]any)
	for _, d := range s.Devices {
		state := "good"
		if d.Bad > 0 {
			state = d.Reason
		}
		devices[d.Device] = state
	}
	var problems []any
	for _, c := range s.Conditions {
		problems = append(problems, c.String())
	}
	report := map[string]any{
		"started":  s.Started.UnixMilli(),
		"uptime_h": int(s.Now.Sub(s.Started).Hours()),
		"queue":    shadowQueue(s.Queue),
		"buses":    shadowBuses(s.Buses),
		"devices":  devices,
		"problems": problems,
	}
	if s.Commands.Off {
		report["commands"] = "off"
	}
	if len(s.Intervals) > 0 {
		intervals := make(map[string]any)
		for _, i := range s.Intervals {
			intervals[i.Device] = map[string]any{"every_ms": i.Every.Milliseconds(), "until": i.Until.UnixMilli()}
		}
		report["intervals"] = intervals
	}
	return report
}

// shadowQueue is how the queue is doing: how much waits, since when, and when it
// is full.
func shadowQueue(s figures.Status) map[string]any {
	queue := map[string]any{
		"waiting": s.Ledger.Waiting.Readings,
		"dropped": s.Ledger.Dropped.Readings,
		"dead":    s.Ledger.Dead.Readings,
		"damaged": s.Ledger.Damaged.Readings,
		"bytes":   s.Bytes,
	}
	if s.Ledger.Waiting.Readings > 0 {
		if !s.Oldest.IsZero() {
			queue["oldest"] = s.Oldest.UnixMilli()
		}
		if s.FullIn > 0 {
			queue["full_in_h"] = int(s.FullIn.Hours())
		}
	}
	return queue
}

// shadowBuses is the load of each bus in percent, in steps of ten, or since
// when it is down.
func shadowBuses(all []bridge.BusStatus) map[string]any {
	buses := make(map[string]any)
	for _, b := range all {
		bus := map[string]any{"load_pct": 10 * int(math.Ceil(10*b.Load))}
		if !b.Down.IsZero() {
			bus = map[string]any{"down_since": b.Down.UnixMilli()}
		}
		buses[b.Bus] = bus
	}
	return buses
}
