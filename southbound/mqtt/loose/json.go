// Package loose makes JSON of what was meant to be JSON: as Python prints a dict, as a
// shell leaves it without its quotes, as programs in C print it that know no JSON. It is
// pure, and what it makes has a bound that hangs on how much it is given.
package loose

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// Why a text is no JSON, even if much is forgiven.
var (
	ErrCut  = errors.New("it ends in the middle")
	ErrForm = errors.New("it breaks the form")
)

// maxDepth is how deep values may be nested.
const maxDepth = 64

// JSON returns the JSON that a text was meant to be, which begins with { or [. Of several
// documents one behind the other it makes a list, and says so. It takes quotes that are
// single or missing, commas too many, values that are missing (null), numbers as +5, 05,
// .5, 5. and 0x1F, True, None and undefined, and backslashes that escape nothing.
func JSON(text []byte) (out []byte, several bool, err error) {
	r := reader{in: text, out: make([]byte, 0, len(text)+len(text)/4+2)}
	r.out = append(r.out, '[')
	begin := len(r.out)
	for n := 0; ; n++ {
		r.space("\x00\x1e,;")
		if r.at == len(r.in) && n > 0 {
			several = n > 1
			break
		}
		if c := r.peek(); c != '{' && c != '[' {
			return nil, false, ErrForm
		}
		if n > 0 {
			r.out = append(r.out, ',')
		}
		if err := r.value(0); err != nil {
			return nil, false, err
		}
	}
	if several {
		return append(r.out, ']'), true, nil
	}
	return r.out[begin:], false, nil
}

type reader struct {
	in  []byte
	at  int
	out []byte
}

// peek returns the next byte, 0 at the end.
func (r *reader) peek() byte {
	if r.at == len(r.in) {
		return 0
	}
	return r.in[r.at]
}

// space steps over white space, and what else is to be.
func (r *reader) space(also string) {
	for r.at < len(r.in) && (isSpace(r.in[r.at]) || strings.IndexByte(also, r.in[r.at]) >= 0) {
		r.at++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (r *reader) value(depth int) error {
	if depth > maxDepth {
		return ErrForm
	}
	switch r.peek() {
	case '{':
		return r.members('}', func() error { return r.member(depth) })
	case '[':
		return r.members(']', func() error { return r.element(depth) })
	case '"', '\'':
		return r.quoted()
	}
	return r.bare(false)
}

// members reads what is between two brackets.
func (r *reader) members(end byte, read func() error) error {
	r.out = append(r.out, r.peek())
	r.at++
	for first := true; ; first = false {
		r.space("")
		switch r.peek() {
		case 0:
			return ErrCut
		case end:
			r.at++
			r.out = append(r.out, end)
			return nil
		}
		if !first {
			r.out = append(r.out, ',')
		}
		if err := read(); err != nil {
			return err
		}
		r.space("")
		switch r.peek() {
		case ',':
			r.at++
			if r.space(""); r.peek() == end && end == ']' { // a comma too many
				continue
			}
		case end:
		case 0:
			return ErrCut
		default:
			return ErrForm
		}
	}
}

// member reads a key and its value.
func (r *reader) member(depth int) error {
	var err error
	if c := r.peek(); c == '"' || c == '\'' {
		err = r.quoted()
	} else {
		err = r.bare(true)
	}
	if err != nil {
		return err
	}
	r.space("")
	switch r.peek() {
	case ':':
		r.at++
	case 0:
		return ErrCut
	default:
		return ErrForm
	}
	r.out = append(r.out, ':')
	return r.element(depth)
}

// element reads a value, or what should be one.
func (r *reader) element(depth int) error {
	r.space("")
	switch r.peek() {
	case ',', '}', ']':
		r.out = append(r.out, "null"...)
		return nil
	case 0:
		return ErrCut
	}
	return r.value(depth + 1)
}

// quoted reads a text in quotes of either kind.
func (r *reader) quoted() error {
	quote := r.in[r.at]
	r.out = append(r.out, '"')
	for r.at++; r.at < len(r.in); r.at++ {
		switch c := r.in[r.at]; {
		case c == quote:
			r.at++
			r.out = append(r.out, '"')
			return nil
		case c == '"':
			r.out = append(r.out, `\"`...)
		case c < ' ':
			r.out = append(r.out, '\\', 'u', '0', '0', '0'+c>>4, "0123456789abcdef"[c&15])
		case c == '\\':
			r.escape()
		default:
			r.out = append(r.out, c)
		}
	}
	return ErrCut
}

// escape reads a backslash and, if it escapes that, what is behind it.
func (r *reader) escape() {
	rest := r.in[r.at+1:]
	switch {
	case len(rest) > 0 && strings.IndexByte(`"\/bfnrt`, rest[0]) >= 0:
		r.out = append(r.out, '\\', rest[0])
		r.at++
	case len(rest) > 0 && rest[0] == '\'':
		r.out = append(r.out, '\'')
		r.at++
	case len(rest) > 4 && rest[0] == 'u' && hex(rest[1:5]):
		r.out = append(append(r.out, '\\'), rest[:5]...)
		r.at += 5
	case len(rest) > 2 && rest[0] == 'x' && hex(rest[1:3]): // Python's
		r.out = append(append(r.out, `\u00`...), rest[1:3]...)
		r.at += 3
	default:
		r.out = append(r.out, `\\`...)
	}
}

func hex(b []byte) bool {
	_, err := strconv.ParseUint(string(b), 16, 16)
	return err == nil && bytes.IndexByte(b, '_') < 0 && b[0] != '+'
}

// bare reads a number or a word without quotes, or a key.
func (r *reader) bare(key bool) error {
	begin := r.at
	for r.at < len(r.in) && !isSpace(r.in[r.at]) && strings.IndexByte(`,:{}[]"'`, r.in[r.at]) < 0 {
		if r.in[r.at] < ' ' {
			return ErrForm
		}
		r.at++
	}
	word := string(r.in[begin:r.at])
	switch {
	case word == "":
		return ErrForm
	case r.at == len(r.in):
		return ErrCut
	case key:
		r.text(word)
	default:
		r.word(word)
	}
	return nil
}

// word writes what stands for a number, a bool or nothing, and any other as a text.
func (r *reader) word(w string) {
	switch strings.ToLower(w) {
	case "true", "false":
		r.out = append(r.out, strings.ToLower(w)...)
	case "null", "none", "undefined", "nil":
		r.out = append(r.out, "null"...)
	case "nan", "inf", "-inf", "infinity", "-infinity", "-nan":
		r.out = append(r.out, w...)
	default:
		if n, ok := number(w); ok {
			r.out = append(r.out, n...)
		} else {
			r.text(w)
		}
	}
}

// text writes a text that has no quotes in it.
func (r *reader) text(s string) {
	r.out = append(append(append(r.out, '"'), strings.ReplaceAll(s, `\`, `\\`)...), '"')
}

// number returns a number as JSON writes it.
func number(w string) (string, bool) {
	sign := ""
	digits := w
	switch {
	case strings.HasPrefix(w, "-"):
		sign, digits = "-", w[1:]
	case strings.HasPrefix(w, "+"):
		digits = w[1:]
	}
	if len(digits) > 2 && digits[0] == '0' && digits[1]|0x20 == 'x' {
		n, err := strconv.ParseUint(digits[2:], 16, 64)
		return sign + strconv.FormatUint(n, 10), err == nil
	}
	mantissa, exponent := digits, ""
	if i := strings.IndexAny(digits, "eE"); i >= 0 {
		mantissa, exponent = digits[:i], digits[i:]
		if n := strings.TrimLeft(exponent[1:], "+-"); !decimals(n) || n == "" || len(exponent)-len(n) > 2 {
			return "", false
		}
	}
	whole, fraction, dot := strings.Cut(mantissa, ".")
	if whole+fraction == "" || !decimals(whole) || !decimals(fraction) {
		return "", false
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if dot && fraction != "" {
		whole += "." + fraction
	}
	return sign + whole + exponent, true
}

// decimals reports whether s has digits alone.
func decimals(s string) bool { return strings.Trim(s, "0123456789") == "" }
