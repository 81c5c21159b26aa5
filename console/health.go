package console

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"fieldbridge/condition"
	"fieldbridge/setting"
)

// Healthz says what makes /healthz answer with 503.
type Healthz struct {
	// FailOn is alarm (default), warning, which counts alarms, too, or nothing: then
	// the answer is 200 as long as the gateway runs.
	FailOn string `yaml:"fail_on"`
	// Except names conditions by their codes, as sensor_silent, that do not count: who
	// restarts what is not well does not bring a sensor back. They stay in the answer.
	Except []string `yaml:"except"`
}

// The values of fail_on.
const (
	failOnAlarm   = "alarm"
	failOnWarning = "warning"
	failOnNothing = "nothing"
)

func (h *Healthz) check(found *setting.Found) {
	if h == nil {
		return
	}
	if !slices.Contains([]string{"", failOnAlarm, failOnWarning, failOnNothing}, h.FailOn) {
		found.Add(fmt.Sprintf("fail_on is %q", h.FailOn), "use alarm, warning or nothing", "healthz", "fail_on")
	}
	var codes []string
	for _, k := range condition.Kinds() {
		codes = append(codes, k.Code)
	}
	for i, code := range h.Except {
		if slices.Contains(codes, code) {
			continue
		}
		fix := "docs/operations.md has all of them"
		if near := setting.Suggest(code, codes); near != "" {
			fix = fmt.Sprintf("did you mean %q?", near)
		}
		found.Add(fmt.Sprintf("there is no condition %q", code), fix, "healthz", "except", strconv.Itoa(i))
	}
}

// fails reports whether a condition makes /healthz an error. A nil h is the default.
func (h *Healthz) fails(c condition.Condition) bool {
	if h == nil {
		return c.Severity == condition.Alarm
	}
	return !slices.Contains(h.Except, c.Code) && h.FailOn != failOnNothing &&
		(c.Severity == condition.Alarm || h.FailOn == failOnWarning)
}

// SetHealthz says what makes /healthz an error from now on; nil is the default.
func (v *View) SetHealthz(h *Healthz) { v.healthz.Store(h) }

// serveHealth says 503 only for alarms, unless the configuration says otherwise: a
// gateway that buffers because the uplink is down does its job, and restarting it
// would not help.
func (v *View) serveHealth(w http.ResponseWriter, _ *http.Request) {
	health := struct {
		Status     string                `json:"status"`
		Conditions []condition.Condition `json:"conditions"`
	}{"ok", v.Conditions()}
	code, counts := http.StatusOK, v.healthz.Load()
	for _, c := range health.Conditions {
		if c.Severity == condition.Alarm {
			health.Status = "alarm"
		} else if health.Status == "ok" {
			health.Status = "degraded"
		}
		if counts.fails(c) {
			code = http.StatusServiceUnavailable
		}
	}
	writeJSON(w, code, health)
}
