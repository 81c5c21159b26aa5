package control

import (
	"testing"
	"time"
)

func TestTrialSentence(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for want, trial := range map[string]Trial{
		"1.1.0 on trial for 1m0s, not ready yet": {Attempts: 1},
		"1.1.0 on trial for 1m0s, started 2 times, given up in 14m0s if this stays so: the link is not up; bus plc does " +
			"not answer": {Attempts: 2, Until: now.Add(14 * time.Minute),
			Missing: []string{"the link is not up", "bus plc does not answer"}},
		"1.1.0 on trial for 1m0s, kept, as the link was down before it, too, in 59m0s if this stays so: the link is not up": {
			Attempts: 1, Until: now.Add(59 * time.Minute), Missing: []string{"the link is not up"}, Kept: true},
		"1.1.0 on trial for 1m0s, all is as before so far": {Attempts: 1, Until: now},
	} {
		trial.Version, trial.Since = "1.1.0", now.Add(-time.Minute)
		if got := trial.Sentence(now); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
