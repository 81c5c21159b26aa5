package main

import "time"

// shadowReport is what the gateway tells of itself in its shadow, beside what
// the session knows. Values are rounded so that only what matters is a change:
// each change is a message.
func (g *gateway) shadowReport() map[string]any {
	s := g.queue.Status()
	queue := map[string]any{
		"waiting": s.Ledger.Waiting.Readings,
		"dropped": s.Ledger.Dropped.Readings,
		"dead":    s.Ledger.Dead.Readings,
		"damaged": s.Ledger.Damaged.Readings,
		"bytes":   s.Bytes,
	}
	if !s.Oldest.IsZero() && s.Ledger.Waiting.Readings > 0 {
		queue["oldest"] = s.Oldest.UnixMilli()
	}
	devices := make(map[string]any)
	for _, d := range append(g.modbus.Devices(), g.mqtt.Devices()...) {
		state := "good"
		if d.Bad > 0 {
			state = d.Reason
		}
		devices[d.Device] = state
	}
	var problems []any
	for _, c := range g.view.Conditions() {
		problems = append(problems, c.Subject+": "+c.Text)
	}
	return map[string]any{
		"started":  g.started.UnixMilli(),
		"uptime_h": int(time.Since(g.started).Hours()),
		"queue":    queue,
		"devices":  devices,
		"problems": problems,
	}
}
