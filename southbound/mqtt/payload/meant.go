package payload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unicode/utf16"
	"unicode/utf8"

	"fieldbridge/southbound/mqtt/loose"
)

// meant returns the JSON that a payload was meant to be, or what it is instead.
func meant(payload []byte, several bool) ([]byte, Fault) {
	text, many, err := loose.JSON(payload)
	switch first := bytes.TrimSpace(payload); {
	case err == nil && many && !several:
		return nil, FaultSeveral
	case err == nil:
		return text, FaultNone
	case bytes.IndexByte(payload, 0) >= 0 || !utf8.Valid(payload) && bytes.IndexFunc(payload, isControl) >= 0:
		return nil, FaultBinary
	case errors.Is(err, loose.ErrCut):
		return nil, FaultCut
	case len(first) > 0 && first[0] != '{' && first[0] != '[':
		return nil, FaultText
	}
	return nil, FaultJSON
}

// isControl reports whether r is in no text.
func isControl(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' }

// utf8Of returns a text of UTF-16, as Windows writes it, in UTF-8; any other as it is.
func utf8Of(payload []byte) []byte {
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case bytes.HasPrefix(payload, []byte("\xff\xfe")):
	case bytes.HasPrefix(payload, []byte("\xfe\xff")):
		order = binary.BigEndian
	case len(payload) > 3 && payload[0] >= ' ' && payload[1] == 0 && payload[2] >= ' ' && payload[3] == 0:
	default:
		return payload
	}
	units := make([]uint16, len(payload)/2)
	for i := range units {
		units[i] = order.Uint16(payload[2*i:])
	}
	return []byte(string(utf16.Decode(units)))
}
