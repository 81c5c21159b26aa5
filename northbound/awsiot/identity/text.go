package identity

import (
	"fmt"
	"strings"
)

// Text returns the report for a person: each step with its facts, what is wrong
// with it (!) and what to do (>), and last the conclusion.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s\n\n", r.Client, r.Endpoint)
	var missing []string
	flush := func() {
		if len(missing) > 0 {
			fmt.Fprintf(&b, "%-12s %s\n", NotReached, strings.Join(missing, ", "))
			missing = nil
		}
	}
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.State == NotReached && len(s.Facts) == 0 {
			missing = append(missing, s.Name)
			continue
		}
		flush()
		s.text(&b)
	}
	flush()
	fmt.Fprintf(&b, "\n%s\n", r.Conclusion)
	return b.String()
}

// indent is where the names of steps begin.
const indent = 13

func (s *Step) text(b *strings.Builder) {
	state := string(s.State)
	if s.State == Failed || s.State == Warning {
		state = strings.ToUpper(state)
	}
	fmt.Fprintf(b, "%-*s%s\n", indent, state, s.Name)
	wide := 0
	for _, f := range s.Facts {
		wide = max(wide, len(f.Key))
	}
	for _, f := range s.Facts {
		fmt.Fprintf(b, "%*s%-*s  %s\n", indent+2, "", wide, f.Key, f.Value)
	}
	if s.Text != "" {
		fmt.Fprintf(b, "%*s! %s\n", indent, "", s.Text)
	}
	if s.Fix != "" {
		fmt.Fprintf(b, "%*s> %s\n", indent, "", s.Fix)
	}
}
