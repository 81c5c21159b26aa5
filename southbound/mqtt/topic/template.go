package topic

import (
	"errors"
	"fmt"
	"strings"
)

// Template is a text with {name} for what a topic captured.
type Template []part

type part struct {
	text    string
	capture int // index of the capture, -1 for text
}

// ParseTemplate reads s, whose names must be captures of f.
func ParseTemplate(s string, f *Filter) (Template, error) {
	var t Template
	for s != "" {
		text, rest, found := strings.Cut(s, "{")
		if text != "" {
			if strings.Contains(text, "}") {
				return nil, errors.New("} without {")
			}
			t = append(t, part{text: text, capture: -1})
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, errors.New("{ without }")
		}
		i := f.index(name)
		if i < 0 {
			return nil, fmt.Errorf("{%s} is not captured by the topic %s", name, f.describe())
		}
		t = append(t, part{capture: i})
		s = after
	}
	return t, nil
}

// describe lists what f captures, for people.
func (f *Filter) describe() string {
	if len(f.names) == 0 {
		return "(it captures nothing)"
	}
	return "(it captures {" + strings.Join(f.names, "}, {") + "})"
}

// Fixed reports whether t does not depend on the topic.
func (t Template) Fixed() bool {
	for _, p := range t {
		if p.capture >= 0 {
			return false
		}
	}
	return true
}

// Expand fills in what was captured.
func (t Template) Expand(captures []string) string {
	if len(t) == 1 {
		if t[0].capture < 0 {
			return t[0].text
		}
		return captures[t[0].capture]
	}
	var b strings.Builder
	for _, p := range t {
		if p.capture < 0 {
			b.WriteString(p.text)
		} else {
			b.WriteString(captures[p.capture])
		}
	}
	return b.String()
}
