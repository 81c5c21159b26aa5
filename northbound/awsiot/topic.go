package awsiot

import (
	"fmt"
	"strings"
)

// topic is a template of a topic with everything but the device filled in.
type topic struct {
	parts []string // the device goes between them
}

// parseTopic reads a template and fills in what is known when the gateway
// starts. {name} is replaced; other braces are an error.
func parseTopic(text, gateway string, labels map[string]string) (topic, error) {
	t := topic{parts: []string{""}}
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
			return topic{}, fmt.Errorf("a brace has no partner in the topic")
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
			return topic{}, fmt.Errorf("{%s} is used in a topic, but the gateway has no label %q", name, label)
		default:
			return topic{}, fmt.Errorf("{%s} is not known in a topic", name)
		}
		text = rest
	}
	return t, nil
}

// usesLabels reports whether labels stand in a template.
func usesLabels(text string) bool { return strings.Contains(text, "{label.") }

func (t topic) hasDevice() bool { return len(t.parts) > 1 }

// fill returns the topic of a device.
func (t topic) fill(device string) string {
	if len(t.parts) == 1 {
		return t.parts[0]
	}
	return strings.Join(t.parts, device)
}

// size returns the length of the topic of a device.
func (t topic) size(device string) int {
	n := len(device) * (len(t.parts) - 1)
	for _, p := range t.parts {
		n += len(p)
	}
	return n
}
