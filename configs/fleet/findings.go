package fleet

import (
	"fmt"
	"strings"

	"fieldbridge/configs/tree"
)

// Findings are problems and the gateways that have them.
type Findings struct {
	order    []tree.Problem
	gateways map[tree.Problem][]string
}

// NewFindings returns none.
func NewFindings() *Findings { return &Findings{gateways: make(map[tree.Problem][]string)} }

// Any reports whether there are findings.
func (f *Findings) Any() bool { return len(f.order) > 0 }

// Add notes that a gateway has a problem.
func (f *Findings) Add(p tree.Problem, gateway string) {
	if _, ok := f.gateways[p]; !ok {
		f.order = append(f.order, p)
	}
	f.gateways[p] = append(f.gateways[p], gateway)
}

// Problems returns each problem once, with its gateways unless all have it: all is how many there are.
func (f *Findings) Problems(all int) []tree.Problem {
	out := make([]tree.Problem, 0, len(f.order))
	for _, p := range f.order {
		names := f.gateways[p]
		switch {
		case len(names) == all && all > 1:
			p.Text += " (all gateways)"
		case len(names) <= 3:
			p.Text += " (" + strings.Join(names, ", ") + ")"
		default:
			p.Text += fmt.Sprintf(" (%s and %d more gateways)", names[0], len(names)-1)
		}
		out = append(out, p)
	}
	return out
}
