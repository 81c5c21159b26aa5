package plan

import (
	"fmt"
	"slices"

	"fieldbridge/southbound/modbus/point"
	"fieldbridge/southbound/modbus/wire"
)

// Seam is a place that no request of a device may lie across: from the address
// before At to At.
type Seam struct {
	Table wire.Table `json:"table"`
	At    int        `json:"at"`
}

// Steps of the lengths that some devices answer alone.
const (
	Even   = 2 // registers: an even number
	Octets = 8 // bits: whole eights, from a multiple of eight on
)

// stepOf returns the step that a device with odd rules has in a table.
func stepOf(t wire.Table) int {
	if t.Bits() {
		return Octets
	}
	return Even
}

// Plain reports whether only a device that answers any length answers a request
// like this.
func Plain(t wire.Table, first, count int) bool {
	switch {
	case t > wire.Holding:
		return false
	case t.Bits():
		return first%Octets != 0 || count%Octets != 0
	}
	return count%Even != 0
}

// round returns the smallest request that covers s, in steps. Of registers the one
// behind is read, too, or the one before where that is better known.
func (l Limits) round(t wire.Table, s point.Span) point.Span {
	if l.step(t) == 1 {
		return s
	}
	return grow(t, s, func(s point.Span) bool { return s.First >= 0 && !l.hole(t, s) })
}

// grow is round for a device that is known to allow some requests.
func grow(t wire.Table, s point.Span, allowed func(point.Span) bool) point.Span {
	if t.Bits() {
		s.First -= s.First % Octets
		s.End += (Octets - s.End%Octets) % Octets
		return s
	}
	if (s.End-s.First)%Even == 0 {
		return s
	}
	behind, before := point.Span{First: s.First, End: s.End + 1}, point.Span{First: s.First - 1, End: s.End}
	if !allowed(behind) && (allowed(before) || behind.End > 1<<16) {
		return before
	}
	return behind
}

// step returns the step of requests for a table.
func (l Limits) step(t wire.Table) int {
	if slices.Contains(l.Stepped, t) {
		return stepOf(t)
	}
	return 1
}

// seam reports whether a request for s would lie across a seam.
func (l Limits) seam(t wire.Table, s point.Span) bool {
	for _, m := range l.seams {
		if m.Table == t && s.First < m.At && m.At < s.End {
			return true
		}
	}
	return false
}

// joins reports whether a request for run may have next in it, too, by the rules
// for what lies beside each other.
func (l Limits) joins(t wire.Table, run, next point.Span) bool {
	both := point.Span{First: run.First, End: max(run.End, next.End)}
	switch {
	case t.Single(), slices.Contains(l.alone, t) && both != run:
		return false
	case l.Gap >= 0 && next.First-run.End > l.Gap:
		return false
	case next.First > run.End && l.hole(t, point.Span{First: run.End, End: next.First}):
		return false
	}
	return !l.seam(t, both)
}

// lengthsText says the rules for lengths, for people.
func (l Learnt) lengthsText() (parts []string) {
	for _, t := range l.Stepped {
		rule := "an even number of registers"
		if t.Bits() {
			rule = "whole eights of bits"
		}
		parts = append(parts, fmt.Sprintf("answers only requests for %s (%s)", rule, t))
	}
	for _, t := range l.Alone {
		parts = append(parts, fmt.Sprintf("answers only one value in a request (%s)", t))
	}
	if n := len(l.Seams); n > 0 {
		text := "no request across"
		for i, s := range l.Seams[:min(n, 8)] {
			if i > 0 {
				text += ","
			}
			text += fmt.Sprintf(" %s %d|%d", s.Table, s.At-1, s.At)
		}
		if n > 8 {
			text += fmt.Sprintf(", %d more", n-8)
		}
		parts = append(parts, text)
	}
	return parts
}

// SameRules reports whether l and o know the same of what a device allows.
func (l Learnt) SameRules(o Learnt) bool {
	return len(l.Holes) == len(o.Holes) && l.Words.High == o.Words.High && l.Bits.High == o.Bits.High &&
		slices.Equal(l.Seams, o.Seams) && slices.Equal(l.Alone, o.Alone) && slices.Equal(l.Stepped, o.Stepped)
}
