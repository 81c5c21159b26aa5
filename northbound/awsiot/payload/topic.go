package payload

import (
	"fmt"
	"strings"
)

// Topic is a template of a topic with everything but the device filled in.
type Topic struct {
	parts []string // the device goes between them
}

// ParseTopic reads a template and fills in what is known when the gateway
// starts. {name} is replaced; other braces are an error.
func ParseTopic(text, gateway string, labels map[string]string) (Topic, error) {
	t := Topic{parts: []string{""}}
	add := func(s string) { t.parts[len(t.parts)-1] += s }
	for text != "" {
		open := strings.IndexAny(text, "{}")
		if open < 0 {
			add(text)
			break
		}
		add(text[:open])
		name, rest, ok := strings.Cut(text[open+1:], "}")
		if text[open] == '}' || !ok {
			return Topic{}, fmt.Errorf("a brace of the topic is not closed, or not opened")
		}
		label, isLabel := strings.CutPrefix(name, "label.")
		value, known := labels[label]
		switch {
		case name == "gateway":
			add(gateway)
		case name == "device":
			t.parts = append(t.parts, "")
		case isLabel && known:
			add(value)
		case isLabel:
			return Topic{}, fmt.Errorf("{%s} is used in a topic, but the gateway has no label %q", name, label)
		default:
			return Topic{}, fmt.Errorf("{%s} is not known in a topic", name)
		}
		text = rest
	}
	return t, nil
}

// UsesLabels reports whether labels stand in a template.
func UsesLabels(text string) bool { return strings.Contains(text, "{label.") }

func (t Topic) hasDevice() bool { return len(t.parts) > 1 }

// Fill returns the topic of a device.
func (t Topic) Fill(device string) string {
	if len(t.parts) == 1 {
		return t.parts[0]
	}
	return strings.Join(t.parts, device)
}

// size returns the length of the topic of a device.
func (t Topic) size(device string) int {
	n := len(device) * (len(t.parts) - 1)
	for _, p := range t.parts {
		n += len(p)
	}
	return n
}
