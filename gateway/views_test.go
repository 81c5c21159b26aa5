package gateway

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"fieldbridge/condition"
	"fieldbridge/gateway/control"
)

// TestConditionInAllViews: what is wrong is told by the same code and the same words
// in the status, by /healthz, in the shadow and in the log.
func TestConditionInAllViews(t *testing.T) {
	t.Parallel()
	r := newStopRig(t)
	var log logText
	g := r.startLogging(t, "127.0.0.1:1", r.device, &log)
	defer r.cancel()
	wait(t, "the uplink is down", func() bool { // it is told why after the first attempt
		all := g.Status().Conditions
		return len(all) > 0 && strings.Contains(all[0].Text, "refuses connections")
	})
	c := g.Status().Conditions[0]
	if c.Code != condition.UplinkDown.Code || c.Subject != "uplink" {
		t.Errorf("status: %+v", c)
	}
	var health struct {
		Status     string
		Conditions []condition.Condition
	}
	page, err := control.Get(t.Context(), g.dir, "/healthz")
	if err == nil {
		err = json.Unmarshal(page, &health)
	}
	// While it is an alarm, /healthz says 503, which Get takes for an error.
	if err != nil || health.Status != "degraded" || len(health.Conditions) != 1 ||
		health.Conditions[0].String() != c.String() {
		t.Errorf("/healthz: %v: %s", err, page)
	}
	if problems := shadowReport(g.Status())["problems"].([]any); len(problems) != 1 || problems[0] != c.String() {
		t.Errorf("shadow: %v", problems)
	}
	wait(t, "the log has it", func() bool {
		text := log.String()
		return strings.Contains(text, "code=uplink_down subject=uplink text=") && strings.Contains(text, c.Text)
	})
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

// logText is a log that is read while it is written.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
