package flash

import "time"

// Report is how a budget stands, for people and programs.
type Report struct {
	Budget string        `json:"budget"`     // as it is configured
	Left   int64         `json:"left_bytes"` // less than 0 if it is overdrawn
	Most   int64         `json:"most_bytes"` // that is kept if it is not used
	Pace   time.Duration `json:"pace_ns"`    // between two commits that nothing but time asks for
}

// Report returns how the budget stands.
func (b *Budget) Report() Report {
	return Report{Left: int64(b.level), Most: int64(b.in(keeps)), Pace: b.Pace()}
}

// Rounded rounds a pace up to a time that people say, so that what is told does not
// change with each commit.
func Rounded(pace time.Duration) time.Duration {
	for _, step := range []time.Duration{1, 2, 5, 10, 20, 30, 60, 120, 300} {
		if pace <= step*time.Second {
			return step * time.Second
		}
	}
	return Longest
}
