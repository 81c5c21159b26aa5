package topic

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Filter is an MQTT topic filter (MQTT 5, section 4.7) in which {name} is a +
// that captures its level, and {name#} a # that captures all levels, one at the
// least.
type Filter struct {
	levels []level
	rest   bool     // ends with #
	tail   bool     // which captures
	names  []string // of the captures, in the order of their levels
}

type level struct {
	text    string // of a literal
	any     bool   // + or {name}
	capture bool   // {name}
}

// Parse reads a topic filter.
func Parse(s string) (Filter, error) {
	var f Filter
	switch {
	case s == "":
		return f, errors.New("the topic is empty")
	case len(s) > 65535:
		return f, errors.New("the topic is longer than 65535 bytes")
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return f, errors.New("the topic is not valid UTF-8 or contains a zero byte")
	case strings.HasPrefix(s, "$share/"):
		return f, errors.New("shared subscriptions cannot be used: the gateway wants every message")
	}
	parts := strings.Split(s, "/")
	for i, p := range parts {
		switch {
		case p == "#":
			if i != len(parts)-1 {
				return f, errors.New("# stands for all that follows and must be the last level")
			}
			f.rest = true
		case strings.HasPrefix(p, "{") && strings.HasSuffix(p, "#}"):
			if i != len(parts)-1 {
				return f, fmt.Errorf("%s stands for all that follows and must be the last level", p)
			}
			if err := f.capture(p[1 : len(p)-2]); err != nil {
				return f, err
			}
			f.rest, f.tail = true, true
		case p == "+":
			f.levels = append(f.levels, level{any: true})
		case strings.HasPrefix(p, "{") && strings.HasSuffix(p, "}"):
			if err := f.capture(p[1 : len(p)-1]); err != nil {
				return f, err
			}
			f.levels = append(f.levels, level{any: true, capture: true})
		case strings.ContainsAny(p, "+#{}"):
			return f, fmt.Errorf("%q: +, #, {name} and {name#} must be a whole level", p)
		default:
			f.levels = append(f.levels, level{text: p})
		}
	}
	return f, nil
}

// capture notes that the next capture is called name.
func (f *Filter) capture(name string) error {
	if !validCapture(name) {
		return fmt.Errorf("%q cannot name a capture: use lower-case letters, digits and _", name)
	}
	if f.index(name) >= 0 {
		return fmt.Errorf("{%s} is captured twice", name)
	}
	f.names = append(f.names, name)
	return nil
}

func validCapture(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}

// Names returns what is captured, in the order of [Filter.Match].
func (f *Filter) Names() []string { return f.names }

// index returns which of the captures is called name, -1 if none is.
func (f *Filter) index(name string) int {
	for i, n := range f.names {
		if n == name {
			return i
		}
	}
	return -1
}

// Wild reports whether the filter does not fix level i, counted from 0.
func (f *Filter) Wild(i int) bool {
	return i >= len(f.levels) && f.rest || i < len(f.levels) && f.levels[i].any
}

// Match reports whether topic matches, and appends what was captured to
// captures.
func (f *Filter) Match(topic string, captures []string) ([]string, bool) {
	// Wildcards at the first level do not match topics of the broker itself
	// (MQTT-4.7.2-1).
	if strings.HasPrefix(topic, "$") && (len(f.levels) == 0 || f.levels[0].any) {
		return captures, false
	}
	more := true // there is another level in topic
	for i := range f.levels {
		if !more {
			return captures, false
		}
		var here string
		here, topic, more = strings.Cut(topic, "/")
		l := &f.levels[i]
		switch {
		case l.capture:
			captures = append(captures, here)
		case !l.any && l.text != here:
			return captures, false
		}
	}
	if f.tail && more {
		captures = append(captures, topic)
	}
	return captures, f.rest && (more || !f.tail) || !f.rest && !more
}

// String returns the filter as a broker understands it.
func (f *Filter) String() string {
	var b strings.Builder
	for i := range f.levels {
		if i > 0 {
			b.WriteByte('/')
		}
		if f.levels[i].any {
			b.WriteByte('+')
		} else {
			b.WriteString(f.levels[i].text)
		}
	}
	if f.rest {
		if len(f.levels) > 0 {
			b.WriteByte('/')
		}
		b.WriteByte('#')
	}
	return b.String()
}

// Meets reports whether there is a topic that both f and g match.
func (f *Filter) Meets(g *Filter) bool {
	if !f.startsLike(g) || !g.startsLike(f) {
		return false
	}
	for i := range min(len(f.levels), len(g.levels)) {
		if l, m := f.levels[i], g.levels[i]; !l.any && !m.any && l.text != m.text {
			return false
		}
	}
	switch {
	case len(f.levels) < len(g.levels):
		return f.rest
	case len(f.levels) > len(g.levels):
		return g.rest
	}
	return (!f.tail || g.rest) && (!g.tail || f.rest)
}

// startsLike reports whether f can match topics of the broker itself, if those of
// g are such.
func (f *Filter) startsLike(g *Filter) bool {
	system := len(g.levels) > 0 && strings.HasPrefix(g.levels[0].text, "$")
	return !system || len(f.levels) > 0 && !f.levels[0].any
}

// Covers reports whether f matches every topic that g matches.
func (f *Filter) Covers(g *Filter) bool {
	if len(g.levels) > 0 && len(f.levels) == 0 && strings.HasPrefix(g.levels[0].text, "$") {
		return false
	}
	for i := range f.levels {
		if i >= len(g.levels) {
			return false
		}
		switch l, m := f.levels[i], g.levels[i]; {
		case l.any && i == 0 && strings.HasPrefix(m.text, "$"):
			return false
		case !l.any && (m.any || l.text != m.text):
			return false
		}
	}
	if f.tail && len(f.levels) == len(g.levels) {
		return g.tail // g may match what ends before that
	}
	return f.rest || len(f.levels) == len(g.levels) && !g.rest
}
