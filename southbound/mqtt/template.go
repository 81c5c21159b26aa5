package mqtt

import (
	"errors"
	"fmt"
	"strings"

	"fieldbridge/bridge"
)

// template is a text with {name} for what a topic captured.
type template []part

type part struct {
	text    string
	capture int // index of the capture, -1 for text
}

// parseTemplate reads s, whose names must be captures of f.
func parseTemplate(s string, f *filter) (template, error) {
	var t template
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
func (f *filter) describe() string {
	if len(f.names) == 0 {
		return "(it captures nothing)"
	}
	return "(it captures {" + strings.Join(f.names, "}, {") + "})"
}

// fixed reports whether t does not depend on the topic.
func (t template) fixed() bool {
	for _, p := range t {
		if p.capture >= 0 {
			return false
		}
	}
	return true
}

// expand fills in what was captured.
func (t template) expand(captures []string) string {
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

// usable reports whether a captured text may become part of a name: 1 to 64
// printable bytes.
func usable(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// deviceName makes a device name of what a topic says: what can't be in a name
// becomes '_', and it is cut after 64 bytes.
func deviceName(s string) string {
	if bridge.ValidDevice(s) {
		return s
	}
	b := []byte(s[:min(len(s), 64)])
	for i, c := range b {
		if !bridge.ValidDevice(string(rune(c))) {
			b[i] = '_'
		}
	}
	return string(b)
}
