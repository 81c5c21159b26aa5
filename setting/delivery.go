package setting

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Deadband is by how much a number must change to be worth delivering: 0.2, or
// 1% of the value delivered last.
type Deadband struct {
	Value   float64
	Percent bool
}

// UnmarshalText reads 0.2 or 1%.
func (d *Deadband) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(string(text), "%")
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("%q is not a deadband: write it as 0.2 in the point's unit, or 1%% of the last value", text)
	}
	*d = Deadband{v, percent}
	return nil
}

// String writes d as it is read.
func (d Deadband) String() string {
	s := strconv.FormatFloat(d.Value, 'f', -1, 64)
	if d.Percent {
		s += "%"
	}
	return s
}

// Report delivers what a point was like over a time instead of each reading.
type Report struct {
	// Every is the time that one report is about, aligned to the wall clock.
	Every Duration `yaml:"every"`
	// As lists what is delivered: mean, min, max, last. Each is a point of its
	// own: load_mean for the point load.
	As []string `yaml:"as"`
}

// Validate returns what is wrong with r, whose point is read every interval.
func (r *Report) Validate(interval time.Duration) []Problem {
	var problems []Problem
	if r.Every.D() < 2*interval || r.Every <= 0 {
		problems = append(problems, Problem{Path: []string{"every"},
			Text: fmt.Sprintf("a report every %v sums up less than two readings", r.Every),
			Fix:  "give a longer time than the point's own interval, as 1m"})
	}
	if len(r.As) == 0 {
		problems = append(problems, Problem{Path: []string{"as"}, OnKey: true, Text: "the report tells nothing",
			Fix: "write as: [mean, min, max]"})
	}
	seen := map[string]bool{}
	for i, s := range r.As {
		switch s {
		case "mean", "min", "max", "last":
		default:
			problems = append(problems, Problem{Path: []string{"as", strconv.Itoa(i)},
				Text: fmt.Sprintf("%q is not a statistic", s), Fix: "use mean, min, max or last"})
		}
		if seen[s] {
			problems = append(problems, Problem{Path: []string{"as", strconv.Itoa(i)}, Text: fmt.Sprintf("%q is there twice", s),
				Fix: "remove one"})
		}
		seen[s] = true
	}
	return problems
}
