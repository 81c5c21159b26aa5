package point

import (
	"fmt"
	"slices"
	"time"

	"fieldbridge/bridge"
)

// Clock is how the registers of a type of time are laid out.
type Clock struct {
	Words int
	parts []clockPart
}

// clockPart is a part of a clock: bits first to first+width-1 of a number of
// registers, the least significant is 0.
type clockPart struct {
	is           Role
	word         int
	words        int
	first, width int
	add          int64
}

// whole makes parts of a register each, from the first on.
func whole(roles ...Role) (parts []clockPart) {
	for i, is := range roles {
		parts = append(parts, clockPart{is: is, word: i, words: 1, width: 16})
	}
	return parts
}

// bytewise makes parts of a byte each, from a byte of a register on.
func bytewise(first int, roles ...Role) (parts []clockPart) {
	for i, is := range roles {
		at := first + i
		parts = append(parts, clockPart{is: is, word: at / 2, words: 1, first: 8 - 8*(at%2), width: 8})
	}
	return parts
}

// century is added to a year of two digits.
const century = 2000

// Clocks are the types of times by their names. A number says how many registers
// they take; a year below 100 is of this century.
var Clocks = map[string]Clock{
	// Seconds or milliseconds since 1970.
	"unixtime":    {2, []clockPart{{is: Seconds, words: 2, width: 32}}},
	"unixtime_ms": {4, []clockPart{{is: Milli, words: 4, width: 64}}},
	// A byte each: year, month, day, hour, minute, second.
	"datetime3": {3, bytewise(0, Year, Month, Day, Hour, Minute, Second)},
	// IEC 60870-5-4, CP56Time2a turned round; Schneider Electric calls it DATETIME
	// and TI081.
	"datetime4": {4, []clockPart{{is: Year, words: 1, width: 7, add: century},
		{is: Month, word: 1, words: 1, first: 8, width: 4}, {is: Day, word: 1, words: 1, width: 5},
		{is: Hour, word: 2, words: 1, first: 8, width: 5}, {is: Minute, word: 2, words: 1, width: 6},
		{is: Invalid, word: 2, words: 1, first: 7, width: 1}, {is: Milli, word: 3, words: 1, width: 16}}},
	// A register each.
	"datetime6": {6, whole(Year, Month, Day, Hour, Minute, Second)},
	"datetime7": {7, whole(Year, Month, Day, Hour, Minute, Second, Milli)},
	// Twelve bytes, DLMS/COSEM date-time (IEC 62056-6-2, section 4.1.6.1): the fifth
	// is the day of the week, the last the state of the clock.
	"datetime_cosem": {6, append(append(append([]clockPart{{is: Year, words: 1, width: 16}}, bytewise(2, Month, Day)...),
		bytewise(5, Hour, Minute, Second, Hundredth)...), clockPart{is: Deviation, word: 4, words: 2, first: 8, width: 16})},
}

// Parts returns the parts of a clock whose registers, and the numbers of several
// of them, are in an order.
func (c Clock) Parts(o Order) []Part {
	var parts []Part
	for _, p := range c.parts {
		width := 16 * p.words
		f := &Field{Kind: KindUint, Bits: uint8(p.width), Load: Loader(width, o), Shift: uint8(p.first), Special: Plain}
		if p.width < width {
			f.Mask = 1<<p.width - 1
		}
		if p.is == Deviation {
			f.Kind = KindInt
		}
		parts = append(parts, Part{Field: f, At: 2 * p.word, Is: p.is, Add: p.add})
	}
	return parts
}

// What DLMS/COSEM has where the distance to UTC, or a byte, is not known.
const (
	noDeviation = -0x8000
	unspecified = 0xff
)

// instant returns a time of parts whose data is given, in milliseconds since
// 1970. A month 13, or a 30th of February, leaves none.
func (w *Whole) instant(data []byte) bridge.Value {
	var n [Invalid + 1]int64
	var seen [Invalid + 1]bool
	for i := range w.Parts {
		p := &w.Parts[i]
		v := p.number(data)
		if !v.Good() {
			return v
		}
		n[p.Is] = int64(v.Bits()) + p.Add
		if n[p.Is] < 0 && p.Is != Deviation {
			return bridge.Bad(bridge.ReasonOutOfRange)
		}
		seen[p.Is] = true
	}
	for _, first := range []Role{Month, Day} {
		if !seen[first] {
			n[first] = 1
		}
	}
	if n[Invalid] != 0 {
		return bridge.Bad(bridge.ReasonSentinel)
	}
	if seen[Seconds] || !seen[Year] { // a count since 1970
		if n[Seconds] > 1<<40 || n[Milli] > 1<<52 {
			return bridge.Bad(bridge.ReasonOutOfRange)
		}
		return bridge.Int(1000*n[Seconds] + n[Milli])
	}
	if n[Hundredth] == unspecified {
		n[Hundredth] = 0
	}
	return w.calendar(&n, seen[Deviation] && n[Deviation] != noDeviation && w.Zone == nil)
}

// calendar returns a time of the numbers of its parts.
func (w *Whole) calendar(n *[Invalid + 1]int64, deviates bool) bridge.Value {
	if n[Year] < 100 {
		n[Year] += century
	}
	zone := time.UTC
	if w.Zone != nil {
		zone = w.Zone
	}
	n[Milli] += 10 * n[Hundredth]
	bad := bridge.Bad(bridge.ReasonOutOfRange)
	for _, limit := range []struct {
		of   Role
		most int64
	}{{Year, 9999}, {Month, 12}, {Day, 31}, {Hour, 23}, {Minute, 59}, {Second, 59}, {Milli, 59_999}} {
		if n[limit.of] > limit.most {
			return bad
		}
	}
	day := int(n[Day])
	t := time.Date(int(n[Year]), time.Month(n[Month]), day, int(n[Hour]), int(n[Minute]), int(n[Second]), 0, zone)
	if n[Month] < 1 || day < 1 || time.Date(t.Year(), time.Month(n[Month]), day, 0, 0, 0, 0, time.UTC).Day() != day {
		return bad
	}
	ms := t.UnixMilli() + n[Milli]
	if deviates {
		ms += n[Deviation] * time.Minute.Milliseconds()
	}
	return bridge.Int(ms)
}

// encodeTime returns the registers of a time: milliseconds since 1970, or text as
// 2026-11-28T13:45:30Z.
func (w *Whole) encodeTime(v bridge.Value) ([]byte, error) {
	t, err := w.timeOf(v)
	if err != nil {
		return nil, err
	}
	data := make([]byte, 2*w.Words)
	has := func(is Role) bool { return slices.ContainsFunc(w.Parts, func(p Part) bool { return p.Is == is }) }
	fine := has(Second) || has(Seconds)
	count := !fine && !has(Year)
	for i := range w.Parts {
		p := &w.Parts[i]
		n := timePart(t, p.Is, fine) - p.Add
		if count {
			n = t.UnixMilli() - p.Add
		}
		if p.Is == Year && p.Add == 0 && p.Bits <= 8 {
			n -= century
		}
		raw, err := p.fit(integer{n < 0, uint64(max(n, -n))}, v)
		if err != nil {
			return nil, fmt.Errorf("%v does not fit in its registers", v)
		}
		p.put(data, raw)
	}
	return data, nil
}

func (w *Whole) timeOf(v bridge.Value) (time.Time, error) {
	zone := time.UTC
	if w.Zone != nil {
		zone = w.Zone
	}
	if v.Kind() == bridge.KindString {
		t, err := time.Parse(time.RFC3339, v.Str())
		if err != nil {
			return t, fmt.Errorf("%q is not a time: write it as 2026-11-28T13:45:30Z, or as milliseconds since 1970", v.Str())
		}
		return t.In(zone), nil
	}
	n, ok := exact(v)
	if !ok || n.abs > 1<<52 {
		return time.Time{}, fmt.Errorf("%v is not a time: write it as 2026-11-28T13:45:30Z, or as milliseconds since 1970", v)
	}
	ms := int64(n.abs)
	if n.negative {
		ms = -ms
	}
	return time.UnixMilli(ms).In(zone), nil
}

// timePart returns the number of a part of t; fine is that seconds are a part of
// their own.
func timePart(t time.Time, is Role, fine bool) int64 {
	ms := int64(t.Nanosecond()) / int64(time.Millisecond)
	switch is {
	case Year:
		return int64(t.Year())
	case Month:
		return int64(t.Month())
	case Day:
		return int64(t.Day())
	case Hour:
		return int64(t.Hour())
	case Minute:
		return int64(t.Minute())
	case Second:
		return int64(t.Second())
	case Seconds:
		return t.Unix()
	case Hundredth:
		return ms / 10
	case Milli:
		if fine {
			return ms
		}
		return ms + 1000*int64(t.Second())
	}
	return 0
}
