package payload

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/topic"
	"fieldbridge/southbound/mqtt/units"
)

// longestNumber is how long a number is written at most, in bytes.
const longestNumber = 64

// written reads a number as people write it: with separators between thousands, a
// comma before the fraction, its unit behind it.
func (e *extract) written(text string) bridge.Value {
	text = strings.TrimSpace(text)
	if v := notDecimal(text); v.Reason() != bridge.ReasonType {
		return v
	}
	if Exact {
		if n, ok := hexNumber(text); ok {
			return e.typ.parseNumber(n)
		}
	}
	var w writtenNumber
	rest, ok := w.scan(text)
	if !ok || !w.place(e.decimal) || !e.behind(strings.TrimSpace(rest)) {
		return bridge.Bad(bridge.ReasonType)
	}
	return e.typ.parseNumber(topic.View(w.plain))
}

// behind reports whether what stands behind a number is nothing, or the unit that
// the rule says: of a rule without one nobody knows what its numbers are.
func (e *extract) behind(rest string) bool {
	rest = bareUnit(rest)
	return rest == "" || e.info.Unit != "" && units.Same(rest, e.info.Unit)
}

// bareUnit takes off a unit what some write around it: kWh of *kWh, as meters have it
// (IEC 62056-21), and of [kWh] or (kWh).
func bareUnit(s string) string {
	s = strings.TrimPrefix(s, "*")
	if n := len(s); n > 2 && (s[0] == '[' && s[n-1] == ']' || s[0] == '(' && s[n-1] == ')') {
		return s[1 : n-1]
	}
	return s
}

// writtenNumber is a number taken to pieces.
type writtenNumber struct {
	plain      []byte // sign and digits; then as JSON has it
	buf        [longestNumber]byte
	separators []separator
	store      [8]separator
	begin, end int // of the digits in plain
}

type separator struct {
	c  byte // '.', ',', ' ' or '\''
	at int  // in plain: what it stands before
}

// scan reads sign, digits and separators, and the exponent. It returns what is
// behind them.
func (w *writtenNumber) scan(text string) (rest string, ok bool) {
	w.plain, w.separators = w.buf[:0], w.store[:0]
	if after, minus := strings.CutPrefix(text, "\u2212"); minus { // the minus of typography
		text = "-" + after
	}
	if text != "" && (text[0] == '-' || text[0] == '+') {
		w.plain = append(w.plain, text[0])
		text = text[1:]
	}
	w.begin = len(w.plain)
	for text != "" {
		c, size := separatorIn(text)
		switch n := digits(text[size:]); {
		case n == 0 || len(w.plain)+n > longestNumber-16:
			w.end = len(w.plain)
			return w.exponent(text), w.end > w.begin && n == 0
		case size > 0 && len(w.separators) == len(w.store):
			return "", false
		case size > 0:
			w.separators = append(w.separators, separator{c, len(w.plain)})
			fallthrough
		default:
			w.plain = append(w.plain, text[size:size+n]...)
			text = text[size+n:]
		}
	}
	w.end = len(w.plain)
	return "", w.end > w.begin
}

// exponent takes over the exponent that text may begin with.
func (w *writtenNumber) exponent(text string) (rest string) {
	if text[0]|0x20 != 'e' {
		return text
	}
	sign := 1
	if len(text) > 1 && (text[1] == '-' || text[1] == '+') {
		sign = 2
	}
	n := digits(text[min(sign, len(text)):])
	if n == 0 || n > 4 {
		return text
	}
	w.plain = append(w.plain, text[:sign+n]...)
	return text[sign+n:]
}

// separatorIn returns the separator that text begins with and its length, 0 if it
// begins with none.
func separatorIn(text string) (c byte, size int) {
	switch r, n := utf8.DecodeRuneInString(text); {
	case r == '.' || r == ',':
		return byte(r), n
	case r == '\'' || r == '’':
		return '\'', n
	case r != utf8.RuneError && unicode.Is(unicode.Zs, r):
		return ' ', n
	}
	return 0, 0
}

// place decides which of the separators is before the fraction, and makes plain a
// number of JSON. decimal is that separator, 0 if it is not known.
func (w *writtenNumber) place(decimal byte) bool {
	n := len(w.separators)
	if n == 0 {
		return true
	}
	last := w.separators[n-1]
	if decimal == 0 {
		if n == 1 && last.c == ',' {
			return false // thousands, or a fraction
		}
		decimal = '.'
		if n == 1 || w.separators[n-2].c != last.c {
			decimal = last.c
		} else if last.c == '.' {
			return false // an address or a version rather than 1.234.567
		}
		if decimal != '.' && decimal != ',' {
			decimal = '.'
		}
	}
	thousands := w.separators
	if last.c == decimal {
		thousands = w.separators[:n-1]
		w.end = last.at
		w.plain = slices.Insert(w.plain, last.at, '.')
	}
	return len(thousands) == 0 || w.grouped(thousands, decimal)
}

// grouped reports whether thousands are separated as they should be: all alike, and
// by three digits.
func (w *writtenNumber) grouped(thousands []separator, decimal byte) bool {
	for i, s := range thousands {
		next := w.end
		if i+1 < len(thousands) {
			next = thousands[i+1].at
		}
		if s.c == decimal || s.c != thousands[0].c || next-s.at != 3 {
			return false
		}
	}
	first := thousands[0].at - w.begin
	return first >= 1 && first <= 3
}

// hexNumber returns the decimals of a number as 0x1F, as C writes it.
func hexNumber(text string) (string, bool) {
	if len(text) < 3 || text[0] != '0' || text[1]|0x20 != 'x' {
		return "", false
	}
	n, err := strconv.ParseUint(text[2:], 16, 64)
	return strconv.FormatUint(n, 10), err == nil
}
