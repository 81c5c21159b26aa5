package setting

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Problems collects what is wrong with a section. The zero value is empty.
type Problems []Problem

// Add adds a problem with the value at path.
func (p *Problems) Add(text, fix string, path ...string) {
	*p = append(*p, Problem{Path: path, Text: text, Fix: fix})
}

// AddOnKey adds a problem with the key at path: it is there, or something below
// it is missing.
func (p *Problems) AddOnKey(text, fix string, path ...string) {
	*p = append(*p, Problem{Path: path, OnKey: true, Text: text, Fix: fix})
}

// Misplaced adds a problem for each of the keys below path that is given,
// although it means nothing there; why follows the name of the key in its text.
func (p *Problems) Misplaced(given map[string]bool, why string, path ...string) {
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if given[key] {
			p.AddOnKey(key+why, "remove it", slices.Concat(path, []string{key})...)
		}
	}
}

// FirstError returns the first of problems that is not a warning, nil if there
// is none.
func FirstError(problems []Problem) error {
	for _, p := range problems {
		if !p.Warning {
			return fmt.Errorf("%s: %s: %s", strings.Join(p.Path, "."), p.Text, p.Fix)
		}
	}
	return nil
}
