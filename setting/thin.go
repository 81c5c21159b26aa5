package setting

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Thin allows that readings which wait become aggregates before any are dropped for want of
// room: for each span one of n readings, with its first and last time.
type Thin struct {
	// To are the spans, on the wall clock, each a multiple of the one before: the second is for
	// when the first does not suffice. The default is [1m, 1h].
	To []Duration `yaml:"to"`
	// Keep is what is kept of them: mean, min, max, last, all by default. Text has a last
	// value, a bool no mean.
	Keep []string `yaml:"keep"`
	// Counters says that it is right for what counts up, too: energy, volumes, pulses.
	// Without it a device's or sensor's thin leaves those points out, and their own is an error.
	Counters bool `yaml:"counters"`

	off bool
}

// UnmarshalText reads the word off, for a point that is not thinned though its device is.
func (t *Thin) UnmarshalText(text []byte) error {
	if string(text) != "off" {
		return fmt.Errorf("%q does not say how to thin: write {to: [1m, 1h], keep: [mean, min, max, last]}, or off", text)
	}
	*t = Thin{off: true}
	return nil
}

// ThinSpans and ThinKeep are the defaults.
var (
	ThinSpans = []time.Duration{time.Minute, time.Hour}
	ThinKeep  = []string{"mean", "min", "max", "last"}
)

// Spans returns the spans in force; nothing for one that is nil or off.
func (t *Thin) Spans() (spans []time.Duration) {
	if t == nil || t.off {
		return nil
	}
	if t.To == nil {
		return ThinSpans
	}
	for _, d := range t.To {
		spans = append(spans, d.D())
	}
	return spans
}

// Kept returns what is kept.
func (t *Thin) Kept() []string {
	if t.Keep == nil {
		return ThinKeep
	}
	return t.Keep
}

// The shortest and the longest span, and how many there may be.
const (
	leastSpan = time.Second
	mostSpan  = 24 * time.Hour
	mostSpans = 4
)

// Validate returns what is wrong with t.
func (t *Thin) Validate() []Problem {
	var r Problems
	if t == nil || t.off {
		return nil
	}
	if t.To != nil && len(t.To) == 0 || len(t.To) > mostSpans {
		r.Add(fmt.Sprintf("%d spans to thin to", len(t.To)), "use one to four, as [1m, 1h], or thin: off", "to")
	}
	for i, d := range t.To {
		at := strconv.Itoa(i)
		switch {
		case d.D() < leastSpan || d.D() > mostSpan:
			r.Add("a span of "+d.String(), "use 1s to 24h", "to", at)
		case i > 0 && (d <= t.To[i-1] || t.To[i-1] > 0 && d%t.To[i-1] != 0):
			r.Add(d.String()+" is no multiple of "+t.To[i-1].String(), "let each be a multiple of the one before", "to", at)
		}
	}
	if t.Keep != nil && len(t.Keep) == 0 {
		r.Add("nothing is kept", "use some of mean, min, max, last, or thin: off", "keep")
	}
	for i, s := range t.Keep {
		if !slices.Contains(ThinKeep, s) {
			r.Add(fmt.Sprintf("%q is not a statistic", s), "use mean, min, max or last", "keep", strconv.Itoa(i))
		} else if slices.Contains(t.Keep[:i], s) {
			r.Add(fmt.Sprintf("%q is there twice", s), "remove one", "keep", strconv.Itoa(i))
		}
	}
	return r
}

// counted are units of what meters count, in lower case.
var counted = []string{"wh", "kwh", "mwh", "gwh", "varh", "kvarh", "mvarh", "vah", "kvah", "mvah", "ah", "kah",
	"mj", "gj", "m3", "m³", "nm3", "nm³", "ft3", "ft³", "kbtu", "mbtu", "pulses", "imp"}

// CountsUp reports whether a point counts up, by its name and unit: the mean of what it
// says means nothing.
func CountsUp(point, unit string) bool {
	if slices.Contains(counted, strings.ToLower(strings.TrimSpace(unit))) {
		return true
	}
	for word := range strings.SplitSeq(point, "_") {
		if slices.Contains([]string{"total", "counter", "count", "energy", "pulses", "odometer"}, word) {
			return true
		}
	}
	return false
}

// Of returns what t says of a point without a thin of its own: the same, or nil for one
// that counts up.
func (t *Thin) Of(point, unit string) *Thin {
	if t == nil || !t.Counters && CountsUp(point, unit) {
		return nil
	}
	return t
}

// Forbids returns what is wrong with t as that of a point.
func (t *Thin) Forbids(point, unit string) []Problem {
	r := Problems(t.Validate())
	if t != nil && !t.off && !t.Counters && CountsUp(point, unit) {
		what := "its name"
		if slices.Contains(counted, strings.ToLower(strings.TrimSpace(unit))) {
			what = "its unit " + unit
		}
		r.Add("it seems to count up, by "+what+": the mean of a counter means nothing",
			"add counters: true, with keep: [last] or [min, max, last]; or remove it")
	}
	return r
}
