package setting

import (
	"cmp"
	"fmt"
	"time"
)

// Found collects the problems of a section.
type Found []Problem

// Add adds an error.
func (f *Found) Add(text, fix string, path ...string) {
	*f = append(*f, Problem{Path: path, Text: text, Fix: fix})
}

// Warn adds a warning.
func (f *Found) Warn(text, fix string, path ...string) {
	*f = append(*f, Problem{Path: path, Text: text, Fix: fix, Warning: true})
}

// Within adds an error unless value is low to high.
func (f *Found) Within(value Duration, low, high time.Duration, path ...string) {
	Between(f, value, Duration(low), Duration(high), path...)
}

// Between adds an error unless value is low to high.
func Between[T cmp.Ordered](f *Found, value, low, high T, path ...string) {
	if value < low || value > high {
		f.Add(fmt.Sprintf("%v is out of range", value), fmt.Sprintf("use %v to %v", low, high), path...)
	}
}
