package tree

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// jsonNumber is what both a configuration and JSON take for a number.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// JSON returns n as JSON, its keys in their order: plain numbers, hexadecimal ones
// too, as numbers, true and false as such, all else as text.
func (n *Node) JSON() json.RawMessage {
	var b strings.Builder
	n.json(&b)
	return json.RawMessage(b.String())
}

func (n *Node) json(b *strings.Builder) {
	switch n.Kind {
	case Null:
		b.WriteString("null")
	case Mapping:
		b.WriteByte('{')
		for i, m := range n.Members {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(jsonText(m.Key) + ":")
			m.Value.json(b)
		}
		b.WriteByte('}')
	case List:
		b.WriteByte('[')
		for i, item := range n.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.json(b)
		}
		b.WriteByte(']')
	default:
		b.WriteString(n.jsonScalar())
	}
}

func (n *Node) jsonScalar() string {
	if n.Plain {
		if jsonNumber.MatchString(n.Text) || n.Text == "true" || n.Text == "false" {
			return n.Text
		}
		if hex, ok := strings.CutPrefix(strings.ToLower(n.Text), "0x"); ok {
			if v, err := strconv.ParseUint(hex, 16, 64); err == nil {
				return strconv.FormatUint(v, 10)
			}
		}
	}
	return jsonText(n.Text)
}

func jsonText(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return `""` // it never fails for a string
	}
	return string(text)
}
