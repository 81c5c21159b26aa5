package blackbox

import (
	"encoding/binary"
	"fmt"
)

// names of the packets by type (MQTT 5, section 2.1.2).
var names = [16]string{"", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE",
	"SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"}

// Outline says what a recorded packet means, of which size bytes were on the way.
func Outline(b []byte, size int) string {
	if len(b) == 0 {
		return fmt.Sprintf("%d bytes that are not MQTT", size)
	}
	kind := b[0] >> 4
	name := names[kind]
	_, n := length(b)
	if name == "" || n <= 0 || n > len(b) {
		return name
	}
	rest := b[n:]
	switch {
	case kind == connect:
		if at, ok := text(b, n); ok && len(b) >= at+4 {
			if end, ok := text(b, at+4); ok {
				return fmt.Sprintf("CONNECT as %s, version %d, keep alive %d s", b[at+6:end], b[at],
					binary.BigEndian.Uint16(b[at+2:]))
			}
		}
		return name
	case kind == connack && len(rest) >= 2:
		return fmt.Sprintf("CONNACK 0x%02X", rest[1])
	case kind == publish:
		return publishOutline(b, n, size)
	case kind == disconnect && len(rest) > 0:
		return fmt.Sprintf("DISCONNECT 0x%02X", rest[0])
	case len(rest) >= 3 && kind != suback && kind != unsuback && rest[2] != 0:
		return fmt.Sprintf("%s id %d, reason 0x%02X", name, binary.BigEndian.Uint16(rest), rest[2])
	case len(rest) >= 2 && kind != auth:
		return fmt.Sprintf("%s id %d", name, binary.BigEndian.Uint16(rest))
	}
	return name
}

func publishOutline(b []byte, n, size int) string {
	end, ok := text(b, n)
	if !ok {
		return fmt.Sprintf("PUBLISH, %d bytes", size)
	}
	qos := b[0] >> 1 & 3
	id := ""
	if qos > 0 && len(b) >= end+2 {
		id = fmt.Sprintf(", id %d", binary.BigEndian.Uint16(b[end:]))
	}
	return fmt.Sprintf("PUBLISH %s, QoS %d%s, %d bytes", b[n+2:end], qos, id, size)
}
