package awsiottest

import (
	"strings"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// OnPublish decides about a message, tells of it, delivers it and answers it.
// The broker itself does nothing more with it.
func (h *hook) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline {
		return pk, nil
	}
	m := &Message{Client: cl.ID, Topic: pk.TopicName, Payload: pk.Payload, ContentType: pk.Properties.ContentType,
		QoS: pk.FixedHeader.Qos, Retain: pk.FixedHeader.Retain, At: time.Now()}
	if code := h.check(cl, m); code >= 0x80 {
		return pk, h.refuse(cl, pk, code)
	}
	c := h.cloud.client(cl.ID)
	if c == nil || c.mochi != cl {
		return pk, packets.ErrRejectPacket
	}
	if m.QoS > 0 && c.unacked.Add(1) > receiveMaximum {
		return pk, h.violation(cl, packets.ErrReceiveMaximum)
	}
	var v Verdict
	if f := h.cloud.script.Load(); f != nil && *f != nil {
		v = (*f)(m)
	}
	if v.Discard {
		h.cloud.counts.rejected.Add(1)
		return pk, packets.ErrRejectPacket
	}
	if v.Code < 0x80 {
		h.deliver(c, pk, m)
	} else {
		h.cloud.counts.rejected.Add(1)
	}
	switch {
	case v.Drop:
		c.wire.reset()
	case m.QoS == 0:
	case v.Lose:
		h.cloud.counts.unacked.Add(1)
	case v.Delay > 0:
		time.AfterFunc(v.Delay, func() { c.ack(pk.PacketID, v.Code) })
	default:
		c.ack(pk.PacketID, v.Code)
	}
	return pk, packets.ErrRejectPacket
}

// check returns the reason code that AWS answers a message with, before anyone
// decides about it; 0 is none.
func (h *hook) check(cl *mochi.Client, m *Message) byte {
	if len(m.Payload) > maximumPayload {
		return packets.ErrPacketTooLarge.Code
	}
	if topicTooLong(m.Topic) {
		return packets.ErrTopicNameInvalid.Code
	}
	return 0
}

// topicTooLong reports whether a topic breaks AWS's limits. What Basic Ingest
// puts before it does not count.
func topicTooLong(topic string) bool {
	if rest, ok := strings.CutPrefix(topic, "$aws/rules/"); ok {
		_, topic, _ = strings.Cut(rest, "/")
	}
	return len(topic) > maximumTopic || strings.Count(topic, "/") > maximumSlashes
}

// refuse answers a message that breaks a limit: too large ends the connection,
// others do for QoS 0, where there is no answer.
func (h *hook) refuse(cl *mochi.Client, pk packets.Packet, code byte) error {
	h.cloud.counts.rejected.Add(1)
	if code == packets.ErrPacketTooLarge.Code || pk.FixedHeader.Qos == 0 {
		return h.violation(cl, packets.Code{Code: code, Reason: "message refused"})
	}
	_ = cl.WritePacket(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: pk.PacketID, ReasonCode: code})
	return packets.ErrRejectPacket
}

// deliver counts an accepted message and hands it on.
func (h *hook) deliver(c *client, pk packets.Packet, m *Message) {
	h.cloud.counts.accepted(m.Size())
	if h.cloud.options.OnPublish != nil {
		h.cloud.options.OnPublish(*m)
	}
	out := pk.Copy(false)
	out.FixedHeader.Type = packets.Publish
	out.PacketID = 1 // required for QoS 1, and of no meaning here
	if err := h.cloud.server.InjectPacket(c.proxy, out); err != nil {
		h.cloud.log.Warn("message cannot be handed on", "topic", m.Topic, "err", err)
	}
}

// ack sends a PUBACK.
func (c *client) ack(id uint16, code byte) {
	c.unacked.Add(-1)
	_ = c.mochi.WritePacket(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: id, ReasonCode: code})
}

// OnWillSent runs when the last will of a client has been published.
func (h *hook) OnWillSent(cl *mochi.Client, pk packets.Packet) {
	m := Message{Client: cl.ID, Topic: pk.TopicName, Payload: pk.Payload, QoS: pk.FixedHeader.Qos, Retain: pk.FixedHeader.Retain, At: time.Now()}
	h.cloud.counts.accepted(m.Size())
	if h.cloud.options.OnPublish != nil {
		h.cloud.options.OnPublish(m)
	}
}
