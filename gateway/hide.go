package gateway

import (
	"bytes"
	"encoding/json"

	"fieldbridge/condition"
	"fieldbridge/setting"
)

// hide makes all that the gateway shows from now on hide what a configuration
// hides, and what the one before did: its connections may still end.
func (g *Gateway) hide(h *setting.Hidden) { g.logging.Hide(h) }

// shownStatus is the status as anyone may see it.
func (g *Gateway) shownStatus() any {
	status := g.Status()
	data, err := json.Marshal(status)
	if err != nil || g.logging.hidden.Load().In(string(data)) == string(data) {
		return status
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var parts any
	if err := decoder.Decode(&parts); err != nil {
		return map[string]string{"error": err.Error()} // what was marshalled just now can be read
	}
	return g.logging.shown(parts)
}

// shownReporter tells conditions as anyone may see them.
type shownReporter struct {
	condition.Reporter
	logging *Logging
}

// Health implements [condition.Reporter].
func (r shownReporter) Health() []condition.Condition {
	h, all := r.logging.hidden.Load(), r.Reporter.Health()
	for i := range all {
		all[i].Subject, all[i].Text = h.In(all[i].Subject), h.In(all[i].Text)
	}
	return all
}

// shown returns a part of a report as anyone may see it.
func (l *Logging) shown(part any) any {
	switch v := part.(type) {
	case string:
		return l.hidden.Load().In(v)
	case []any:
		for i := range v {
			v[i] = l.shown(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = l.shown(v[key])
		}
	}
	return part
}
