package payload

import (
	"fmt"
	"slices"
	"strings"
)

// Topic is a template of a topic with everything but device and point filled in.
type Topic struct {
	parts []string
	slots []slot // what goes between them
}

// slot is what a template leaves open.
type slot byte

const (
	deviceSlot slot = iota
	pointSlot
)

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
			t.parts, t.slots = append(t.parts, ""), append(t.slots, deviceSlot)
		case name == "point":
			t.parts, t.slots = append(t.parts, ""), append(t.slots, pointSlot)
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

func (t Topic) hasDevice() bool { return slices.Contains(t.slots, deviceSlot) }

func (t Topic) hasPoint() bool { return slices.Contains(t.slots, pointSlot) }

// Fill returns the topic of a device's point.
func (t Topic) Fill(device, point string) string {
	if len(t.parts) == 1 {
		return t.parts[0]
	}
	b := make([]byte, 0, t.size(device, point))
	b = append(b, t.parts[0]...)
	for i, s := range t.slots {
		b = append(append(b, s.of(device, point)...), t.parts[i+1]...)
	}
	return string(b)
}

// size returns the length of the topic of a device's point.
func (t Topic) size(device, point string) int {
	n := len(t.parts[0])
	for i, s := range t.slots {
		n += len(s.of(device, point)) + len(t.parts[i+1])
	}
	return n
}

func (s slot) of(device, point string) string {
	if s == pointSlot {
		return point
	}
	return device
}
