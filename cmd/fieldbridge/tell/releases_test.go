package tell

import (
	"strings"
	"testing"
	"time"

	"fieldbridge/gateway/control"
	"fieldbridge/release"
)

// TestTrial: who asks for the status, or for the releases, is told how the trial stands.
func TestTrial(t *testing.T) {
	now := time.Now()
	trial := &control.Trial{Version: "1.1.0", Since: now.Add(-time.Minute), Attempts: 2, Until: now.Add(time.Hour),
		Missing: []string{"the link is not up"}}
	slots := release.Slots{Trial: &release.Trial{Version: "1.1.0", Attempts: 2, Begun: trial.Since}}
	told := func(tell func(b *strings.Builder)) string {
		var b strings.Builder
		tell(&b)
		return b.String()
	}
	for _, tt := range []struct{ text, want string }{
		{told(func(b *strings.Builder) { Status(b, control.Status{Now: now, Trial: trial}) }),
			"\nprogram  1.1.0 on trial for 1m0s, started 2 times, given up in 1h0m0s if this stays so: the link is not up\n"},
		{told(func(b *strings.Builder) {
			Releases(b, control.Releases{Running: "1.1.0", Proving: trial, Slots: slots})
		}),
			"if this stays so: the link is not up\n"},
		// Another program tells of it that could not start it.
		{told(func(b *strings.Builder) { Releases(b, control.Releases{Packaged: "1.0.0", Slots: slots}) }),
			"\non trial: 1.1.0, since "},
	} {
		if !strings.Contains(tt.text, tt.want) {
			t.Errorf("no %q in\n%s", tt.want, tt.text)
		}
	}
}
