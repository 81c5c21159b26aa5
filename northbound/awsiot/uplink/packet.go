package uplink

import (
	"encoding/binary"

	"fieldbridge/bridge"
)

// Of MQTT 5: the first byte of a PUBLISH with QoS 1 (section 3.3.1) and the
// identifiers of its properties that we use (3.3.2.3).
const (
	publishQoS1     = 0x32
	contentTypeID   = 0x03
	correlationID   = 0x09
	propertyHead    = 1 + 2 // identifier and length
	variableContent = 128   // from this on a variable byte integer goes on
)

// appendPublish appends a PUBLISH of QoS 1 to b. The library makes forty
// allocations of it, each message. correlation is nil for none. m is within the
// limits of [Session.fits].
func appendPublish(b []byte, id uint16, m *bridge.Message, correlation []byte) []byte {
	properties := 0
	if m.ContentType != "" {
		properties += propertyHead + len(m.ContentType)
	}
	if correlation != nil {
		properties += propertyHead + len(correlation)
	}
	const topicHead, idSize = 2, 2
	size := topicHead + len(m.Topic) + idSize + variableSize(properties) + properties + len(m.Payload)
	b = append(b, publishQoS1)
	b = appendVariable(b, size)
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.Topic)))
	b = append(b, m.Topic...)
	b = binary.BigEndian.AppendUint16(b, id)
	b = appendVariable(b, properties)
	if m.ContentType != "" {
		b = append(b, contentTypeID)
		b = binary.BigEndian.AppendUint16(b, uint16(len(m.ContentType)))
		b = append(b, m.ContentType...)
	}
	if correlation != nil {
		b = append(b, correlationID)
		b = binary.BigEndian.AppendUint16(b, uint16(len(correlation)))
		b = append(b, correlation...)
	}
	return append(b, m.Payload...)
}

// appendVariable appends a variable byte integer (section 1.5.5).
func appendVariable(b []byte, n int) []byte {
	for ; n >= variableContent; n /= variableContent {
		b = append(b, byte(n%variableContent|variableContent))
	}
	return append(b, byte(n))
}

func variableSize(n int) int {
	size := 1
	for ; n >= variableContent; n /= variableContent {
		size++
	}
	return size
}
