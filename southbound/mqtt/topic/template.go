package topic

import (
	"errors"
	"fmt"
	"strings"
)

// Template is a text with {name} for what a topic captured, and {.path} for what
// is in the payload, there. {@key} is for the name of an element of the payload.
// {.path?} may be missing, and the text before it then is, too.
type Template []part

type part struct {
	text    string // or the path
	capture int    // index of the capture, or one of the following
}

const (
	literal = -1
	inside  = -2 // of the payload
)

// ParseTemplate reads s, whose names must be captures of f.
func ParseTemplate(s string, f *Filter) (Template, error) {
	var t Template
	for s != "" {
		text, rest, found := strings.Cut(s, "{")
		if text != "" {
			if strings.Contains(text, "}") {
				return nil, errors.New("} without {")
			}
			t = append(t, part{text: text, capture: literal})
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, errors.New("{ without }")
		}
		if path, is := strings.CutPrefix(name, "."); is && path != "" || name == Key {
			t = append(t, part{text: path, capture: inside})
			s = after
			continue
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

// Key is the path of the name of an element: its key in an object, or its index.
const Key = "@key"

// Optional ends the path of what may be missing.
const Optional = "?"

// Paths returns where in the payload is what t needs of it, in order.
func (t Template) Paths() (paths []string) {
	for _, p := range t {
		if p.capture == inside {
			paths = append(paths, p.text)
		}
	}
	return paths
}

// Fixed reports whether t depends on neither topic nor payload.
func (t Template) Fixed() bool {
	for _, p := range t {
		if p.capture != literal {
			return false
		}
	}
	return true
}

// Expand fills in what was captured, and what was read at the paths of t.
func (t Template) Expand(captures []string, read ...string) string {
	if len(t) == 1 {
		text, _ := t[0].expand(captures, read)
		return text
	}
	var b strings.Builder
	held := "" // the text before this part
	for _, p := range t {
		var text string
		text, read = p.expand(captures, read)
		switch {
		case p.capture == literal:
			b.WriteString(held)
			held = text
			continue
		case text != "" || !strings.HasSuffix(p.text, Optional):
			b.WriteString(held)
		}
		b.WriteString(text)
		held = ""
	}
	return b.String() + held
}

// expand returns the text of p, and what is left of read.
func (p part) expand(captures, read []string) (string, []string) {
	switch p.capture {
	case literal:
		return p.text, read
	case inside:
		return read[0], read[1:]
	}
	return captures[p.capture], read
}
