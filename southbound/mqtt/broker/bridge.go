package broker

import (
	"encoding/binary"
	"strings"
)

const (
	// longestName is how long the beginning of a CONNECT packet is at the most, up
	// to the version.
	longestName = 2 + len("MQIsdp") + 1
	// bridgeBit is how Mosquitto says in its version that it is a broker itself.
	bridgeBit = 0x80
)

// unmarkBridge reports whether a CONNECT packet is of a bridge, and makes it that
// of any client.
func unmarkBridge(body []byte) bool {
	if len(body) < longestName {
		return false
	}
	at := 2 + int(binary.BigEndian.Uint16(body))
	if at >= longestName || body[at] != bridgeBit|3 && body[at] != bridgeBit|4 {
		return false
	}
	body[at] &^= bridgeBit
	return true
}

// isBridgeState reports whether topic is where a Mosquitto that is a bridge says
// whether it is connected.
func isBridgeState(topic string) bool { return strings.HasPrefix(topic, "$SYS/broker/connection/") }
