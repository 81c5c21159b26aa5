package payload

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"fieldbridge/southbound/mqtt/topic"
)

// maxDepth is how deep JSON may be nested. Sensors need a handful; the reader
// recurses, so something must be the limit.
const maxDepth = 64

// tidy returns a payload as gjson can read it, and why it cannot be: gjson finds
// values in anything and must be given valid JSON only, and of a key that an
// object has twice it finds the first, where all others take the last. What comes
// before and after the JSON by mistake is cut: a byte order mark, and the zeros
// that end a text in C. Only a payload with a key twice is copied.
// What was meant to be JSON is read as that; several is that it may be documents one behind
// the other.
func tidy(payload []byte, several bool) ([]byte, Fault) {
	payload = trim(payload)
	s := scanner{text: payload}
	f := s.document()
	if Exact && f == FaultJSON {
		if payload, f = meant(payload, several); f == FaultNone {
			s = scanner{text: payload}
			f = s.document()
		}
	}
	if f != FaultNone {
		return nil, f
	}
	if !s.twice {
		return payload, FaultNone
	}
	exact := scanner{text: slices.Clone(payload), exact: true}
	if f := exact.document(); f != FaultNone {
		return nil, f
	}
	return exact.text, FaultNone
}

// trim cuts the byte order mark before a text, and the zeros behind it.
func trim(payload []byte) []byte {
	return bytes.TrimRight(bytes.TrimPrefix(payload, []byte("\ufeff")), "\x00")
}

// seenKeys is how many places a scanner has for the keys that it has seen. Where
// more than half of them are taken, it looks exactly.
const seenKeys = 128

// scanner reads JSON (RFC 8259) once, and the words for numbers that are none,
// which C and Python write bare.
type scanner struct {
	text  []byte
	at    int
	deep  bool
	twice bool // a key may come twice in an object

	seen  [seenKeys]uint32 // what keys hash to, with the object they are in; 0 is free
	count int
	exact bool // blank what is given again
}

// document reads the whole text.
func (s *scanner) document() Fault {
	ok := s.value(0)
	s.space()
	switch {
	case s.deep:
		return FaultDeep
	case !ok || s.at < len(s.text):
		return FaultJSON
	}
	return FaultNone
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// next returns the next byte behind white space, 0 at the end.
func (s *scanner) next() byte {
	s.space()
	if s.at >= len(s.text) {
		return 0
	}
	return s.text[s.at]
}

// take steps over c behind white space, if it is there.
func (s *scanner) take(c byte) bool {
	if s.next() != c || s.at >= len(s.text) {
		return false
	}
	s.at++
	return true
}

func (s *scanner) value(depth int) bool {
	switch c := s.next(); {
	case (c == '{' || c == '[') && depth == maxDepth:
		s.deep = true
		return false
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == '"':
		_, ok := s.quoted()
		return ok
	}
	return s.bare()
}

func (s *scanner) array(depth int) bool {
	s.at++
	if s.take(']') {
		return true
	}
	for {
		if !s.value(depth + 1) {
			return false
		}
		if s.take(']') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

func (s *scanner) object(depth int) bool {
	var members map[string]int // where each begins, if that is wanted
	id := uint32(s.at)
	s.at++
	if s.take('}') {
		return true
	}
	for {
		s.space()
		begin := s.at
		key, ok := s.quoted()
		if !ok || !s.take(':') {
			return false
		}
		if s.exact {
			if members == nil {
				members = make(map[string]int)
			}
			s.last(members, key, begin)
		} else {
			s.remember(id, key)
		}
		if !s.value(depth + 1) {
			return false
		}
		if s.take('}') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// remember notes that an object has a key. It may take a key for another one,
// never the other way round.
func (s *scanner) remember(id uint32, key []byte) {
	hash := id*0x9e3779b1 ^ 2166136261
	for _, c := range key {
		if c == '\\' {
			s.twice = true // it may be another key, written otherwise
		}
		hash = (hash ^ uint32(c)) * 16777619 // FNV-1a
	}
	if s.twice || s.count >= seenKeys/2 {
		s.twice = true
		return
	}
	hash |= 1 // not free
	for i := hash >> 16 % seenKeys; ; i = (i + 1) % seenKeys {
		switch s.seen[i] {
		case 0:
			s.seen[i] = hash
			s.count++
			return
		case hash:
			s.twice = true
			return
		}
	}
}

// last blanks the member of the same name that came before, with the comma behind
// it.
func (s *scanner) last(members map[string]int, key []byte, begin int) {
	name := string(key)
	if strings.Contains(name, `\`) {
		_ = json.Unmarshal([]byte(`"`+name+`"`), &name) // or it is the key as it is written
	}
	before, twice := members[name]
	members[name] = begin
	if !twice {
		return
	}
	old := scanner{text: s.text, at: before}
	_, _ = old.quoted()
	old.take(':')
	old.value(0)
	old.take(',')
	for i := before; i < old.at; i++ {
		s.text[i] = ' '
	}
}

// quoted steps over a string, and returns what is between its quotes.
func (s *scanner) quoted() ([]byte, bool) {
	if s.at >= len(s.text) || s.text[s.at] != '"' {
		return nil, false
	}
	s.at++
	begin := s.at
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[begin : s.at-1], true
		case c < ' ':
			return nil, false
		case c == '\\':
			s.at++
			if !s.escape() {
				return nil, false
			}
		}
	}
	return nil, false
}

// escape steps to the last byte of what stands behind a backslash.
func (s *scanner) escape() bool {
	if s.at >= len(s.text) {
		return false
	}
	if s.text[s.at] != 'u' {
		return strings.IndexByte(`"\/bfnrt`, s.text[s.at]) >= 0
	}
	for range 4 {
		s.at++
		if s.at >= len(s.text) || !hexadecimal(s.text[s.at]) {
			return false
		}
	}
	return true
}

func hexadecimal(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// bare steps over a number or a word.
func (s *scanner) bare() bool {
	begin := s.at
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ',', ']', '}', ' ', '\t', '\n', '\r':
			return bareWord(topic.View(s.text[begin:s.at]))
		default:
			s.at++
		}
	}
	return bareWord(topic.View(s.text[begin:s.at]))
}

// bareWord reports whether JSON has w without quotes, or it is what gjson takes for
// a number and [Type.parse] for none: NaN and infinity as C, Python and JavaScript
// write them, and Python's None.
func bareWord(w string) bool {
	switch w {
	case "":
		return false
	case "true", "false", "null", "None":
		return true
	}
	if c := w[0]; c >= '0' && c <= '9' || c == '-' && len(w) > 1 && w[1] >= '0' && w[1] <= '9' {
		return number(w) || notANumber(w)
	}
	return notANumber(w)
}

// notANumber reports whether w stands for NaN or infinity: as nan, -inf, Infinity,
// nan(ind) or 1.#QNAN.
func notANumber(w string) bool {
	w = strings.TrimLeft(w, "+-")
	if len(w) < 3 || len(w) > 16 {
		return false
	}
	return strings.EqualFold(w, "nan") || strings.EqualFold(w, "inf") || strings.EqualFold(w, "infinity") ||
		strings.EqualFold(w[:3], "nan") && w[3] == '(' && w[len(w)-1] == ')' || strings.HasPrefix(w, "1.#")
}

// number reports whether w is a number of JSON.
func number(w string) bool {
	w = strings.TrimPrefix(w, "-")
	whole := digits(w)
	if whole == 0 || whole > 1 && w[0] == '0' {
		return false
	}
	w = w[whole:]
	if strings.HasPrefix(w, ".") {
		n := digits(w[1:])
		if n == 0 {
			return false
		}
		w = w[1+n:]
	}
	if w != "" && w[0]|0x20 == 'e' {
		w = w[1:]
		if w != "" && (w[0] == '+' || w[0] == '-') {
			w = w[1:]
		}
		n := digits(w)
		return n > 0 && n == len(w)
	}
	return w == ""
}

// digits returns how many digits s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
