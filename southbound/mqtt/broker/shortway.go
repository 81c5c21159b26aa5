package broker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync/atomic"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/topic"
	"fieldbridge/southbound/mqtt/trouble"
)

// How many topics of a client are remembered, and how many bytes of them.
const (
	maxKnown      = 256
	maxKnownBytes = 16 << 10
)

// publisher is what is known about a client that publishes. It is of the
// goroutine that reads.
type publisher struct {
	self  *mochi.Client       // nil until the client has been let in
	voice *mochi.Client       // publishes to local subscribers
	known map[string]struct{} // topics that the broker has let through

	knownBytes int // of known
}

// learn remembers that the client may publish to topic.
func (c *conn) learn(topic string) {
	if c.known == nil || len(c.known) >= maxKnown || c.knownBytes+len(topic) > maxKnownBytes {
		c.known, c.knownBytes = make(map[string]struct{}), 0
	}
	c.knownBytes += len(topic)
	c.known[strings.Clone(topic)] = struct{}{} // or it keeps the packet
}

// take takes a PUBLISH packet past the broker, if there is nothing about it that
// the broker would have to look at: no QoS 2, no retain, no properties, and a
// topic that it has let through before. The packet is complete.
func (c *conn) take(packet []byte) (taken bool, err error) {
	p, ok := c.simple(packet)
	if !ok {
		return false, nil
	}
	if c.self.Closed() {
		return false, net.ErrClosed
	}
	c.extend()
	e := c.broker
	e.messages.Add(1)
	m := inlet.Message{Topic: p.topic, Payload: p.payload, At: c.now, From: c.self.ID}
	var safe func(error)
	if p.qos > 0 {
		a := c.expect(c.self.ID, p.id, p.qos)
		if a == nil {
			e.flooded(c.self)
			return false, net.ErrClosed
		}
		safe, m.Held = a.safe, a.held
	}
	if atomic.LoadInt64(&e.server.Info.Subscriptions) > 0 {
		// Subscribers may get it later: the buffer is used again by then.
		e.forward(c, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: p.qos},
			TopicName: p.topic, Payload: bytes.Clone(p.payload), PacketID: p.id})
	}
	e.ingest(m, safe)
	return true, nil
}

// published is a simple PUBLISH packet.
type published struct {
	topic   string
	payload []byte
	id      uint16
	qos     byte
}

// simple reads a PUBLISH packet (MQTT 5, section 3.3; that of MQTT 3.1.1 has no
// properties).
func (c *conn) simple(packet []byte) (p published, ok bool) {
	if c.self == nil || packet[0]&^0x0a != publish || len(packet) >= c.broker.packetLimit() ||
		c.self.State.Inflight.Len() > 0 {
		return p, false
	}
	p.qos = packet[0] >> 1 & 3
	if packet[0]&8 != 0 && p.qos == 0 {
		return p, false // a repeated QoS 0: wrong
	}
	_, n := binary.Uvarint(packet[1:])
	rest := packet[1+n:]
	if len(rest) < 2 {
		return p, false
	}
	length := int(binary.BigEndian.Uint16(rest))
	if rest = rest[2:]; len(rest) < length {
		return p, false
	}
	name, rest := rest[:length], rest[length:]
	if _, known := c.known[string(name)]; !known {
		return p, false
	}
	if p.qos > 0 {
		if len(rest) < 2 || rest[0] == 0 && rest[1] == 0 {
			return p, false
		}
		p.id, rest = binary.BigEndian.Uint16(rest), rest[2:]
	}
	if c.self.Properties.ProtocolVersion >= 5 {
		if len(rest) == 0 || rest[0] != 0 {
			return p, false
		}
		rest = rest[1:]
	}
	p.topic, p.payload = topic.View(name), rest
	return p, true
}

// forward gives a message to local subscribers, and retains it if that is asked
// for, in the client's name.
func (e *Broker) forward(c *conn, pk packets.Packet) {
	// An inline client's message takes the broker's way without its
	// acknowledgement and its limits.
	if c.voice == nil {
		c.voice = e.server.NewClient(nil, mochi.LocalListener, c.self.ID, true)
		c.voice.Properties.ProtocolVersion = c.self.Properties.ProtocolVersion
	}
	pk.TopicName = strings.Clone(pk.TopicName) // it may be part of a buffer
	if err := e.server.InjectPacket(c.voice, pk); err != nil {
		e.log.Debug("message not given to local subscribers", "topic", pk.TopicName, "err", err)
	}
}

// flooded ends a client that knows how many messages may wait for their
// acknowledgement and sends more.
func (e *Broker) flooded(cl *mochi.Client) {
	e.trouble.Note(trouble.Broken, who(cl), fmt.Sprintf("it sends more than %d messages that are not acknowledged yet",
		maxUnacknowledged))
	_ = e.server.DisconnectClient(cl, packets.ErrReceiveMaximum)
}
