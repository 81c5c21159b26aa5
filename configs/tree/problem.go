package tree

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"fieldbridge/order"
)

// Position is a place in a file. Line and Column count from 1, the column in
// characters; both are 0 when the file as a whole is meant.
type Position struct {
	File         string
	Line, Column int
}

// String returns file:line:column.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

func (p Position) compare(q Position) int {
	return cmp.Or(strings.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
}

// Problem is something wrong with a file, and where.
type Problem struct {
	Position Position
	Text     string // what is wrong
	Fix      string // what to do; may be empty
}

// NewProblem returns what is wrong at a place, and what to do.
func NewProblem(at Position, text, fix string) Problem { return Problem{at, text, fix} }

// String returns file:line:column: what is wrong: what to do.
func (p Problem) String() string {
	s := p.Position.String() + ": " + p.Text
	if p.Fix != "" {
		s += ": " + p.Fix
	}
	return s
}

// Error is everything that is wrong with a configuration.
type Error struct {
	Problems []Problem // sorted by position, at least one
}

// Error returns one problem per line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// ErrorOf sorts problems and returns them as an error, or nil if there are none.
func ErrorOf(problems ...Problem) error {
	if len(problems) == 0 {
		return nil
	}
	return &Error{Sorted(problems)}
}

// samePlace is how many problems of one place are told: a mistake below a range
// is one for each of its names.
const samePlace = 3

// Sorted orders by place; what is said twice is kept once.
func Sorted(problems []Problem) []Problem {
	order.Stably(problems, func(a, b Problem) int { return a.Position.compare(b.Position) })
	problems = slices.Compact(problems)
	var out []Problem
	for len(problems) > 0 {
		n := 1
		for n < len(problems) && problems[n].Position == problems[0].Position {
			n++
		}
		out = append(out, problems[:min(n, samePlace)]...)
		if n > samePlace && problems[0].Position.Line > 0 {
			out[len(out)-1].Text += fmt.Sprintf(" (and %d more problems here)", n-samePlace)
		}
		problems = problems[n:]
	}
	return out
}
