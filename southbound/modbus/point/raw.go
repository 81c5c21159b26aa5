package point

import (
	"fmt"
	"strings"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/wire"
)

// Raw says, for people, what stands on the device: the registers of the field in
// hexadecimal, and the number in them as its type reads it, before invalid, enum
// and scaling. A bit is 0 or 1.
func (s Placed) Raw(data []byte) string {
	f := s.Field
	if f.Load == LoadBit {
		return fmt.Sprint(data[s.At>>3] >> (s.At & 7) & 1)
	}
	var registers []string
	if f.Table == wire.Identity {
		return ""
	}
	size := 2
	if f.Size > 0 {
		size = int(f.Size)
	}
	for at := int(s.At); at < int(s.At)+f.Bytes(); at += size {
		registers = append(registers, fmt.Sprintf("%x", data[at:at+size]))
	}
	text := strings.Join(registers, " ")
	switch {
	case f.Kind == KindParts:
		text += numbered(f.Whole.number(data[s.At:]))
	case f.Kind < KindString:
		text += numbered(f.value(f.raw(data[s.At:])))
	}
	return text
}

// numbered is what follows the registers of a number.
func numbered(v bridge.Value) string {
	if !v.Good() {
		return ""
	}
	return " = " + v.String()
}
