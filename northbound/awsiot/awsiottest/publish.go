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
	c := h.cloud.client(cl.ID)
	if c == nil || c.mochi != cl {
		return pk, packets.ErrRejectPacket
	}
	m := &Message{Client: cl.ID, Topic: pk.TopicName, Payload: pk.Payload, ContentType: pk.Properties.ContentType,
		ResponseTopic: pk.Properties.ResponseTopic, CorrelationData: pk.Properties.CorrelationData,
		QoS: pk.FixedHeader.Qos, Retain: pk.FixedHeader.Retain, At: time.Now()}
	if m.QoS > 0 && int(c.unacked.Add(1)) > int(h.cloud.server.Options.Capabilities.ReceiveMaximum) {
		return pk, h.violation(cl, packets.ErrReceiveMaximum)
	}
	if code := h.check(c, m); code >= 0x80 {
		return pk, h.refuse(c, pk, code)
	}
	if throttled := h.throttled(c, m); throttled {
		h.cloud.counts.rejected.Add(1)
		if h.cloud.options.Throttle == ThrottleRefuse && m.QoS > 0 {
			c.ack(pk.PacketID, packets.ErrQuotaExceeded.Code)
		}
		return pk, packets.ErrRejectPacket
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
	h.answer(c, pk.PacketID, m.QoS, v)
	return pk, packets.ErrRejectPacket
}

// answer sends the PUBACK as the verdict says.
func (h *hook) answer(c *client, id uint16, qos byte, v Verdict) {
	switch {
	case v.Drop:
		c.wire.reset()
	case qos == 0:
	case v.Lose:
		h.cloud.counts.unacked.Add(1)
	case v.Delay > 0:
		time.AfterFunc(v.Delay, func() { c.ack(id, v.Code) })
	default:
		c.ack(id, v.Code)
	}
}

// check returns the reason code that AWS answers a message with, before anyone
// decides about it; 0 means none.
func (h *hook) check(c *client, m *Message) byte {
	switch {
	case len(m.Payload) > maximumPayload:
		return packets.ErrPacketTooLarge.Code
	case topicTooLong(m.Topic):
		return packets.ErrTopicNameInvalid.Code
	case reserved(m.Topic, c, false):
		return codeReserved
	case !h.cloud.allowed(c.who, "iot:Publish", "topic/"+m.Topic):
		return packets.ErrNotAuthorized.Code
	case m.Retain && (strings.HasPrefix(m.Topic, "$") || !h.cloud.allowed(c.who, "iot:RetainPublish", "topic/"+m.Topic)):
		return packets.ErrNotAuthorized.Code
	}
	return 0
}

// codeReserved stands for a topic beginning with $ that AWS does not serve: the
// connection is closed with 0x87, whatever the QoS.
const codeReserved = 0xFF

// throttled reports whether m is over a rate: 100 messages per second on the
// connection, or one retained message per second to a topic.
func (h *hook) throttled(c *client, m *Message) bool {
	if h.cloud.options.Throttle == ThrottleOff {
		return false
	}
	if !c.messages.Take(1) {
		return true
	}
	if !m.Retain {
		return false
	}
	h.cloud.mu.Lock()
	defer h.cloud.mu.Unlock()
	last, known := h.cloud.retained[m.Topic]
	if known && m.At.Sub(last) < time.Second {
		return true
	}
	h.cloud.retained[m.Topic] = m.At
	return false
}

// topicTooLong reports whether a topic breaks AWS's limits. What Basic Ingest
// puts before it does not count.
func topicTooLong(topic string) bool {
	if rest, ok := strings.CutPrefix(topic, "$aws/rules/"); ok {
		_, topic, _ = strings.Cut(rest, "/")
	}
	if strings.HasPrefix(topic, "$aws/commands/") {
		return len(topic) > maximumTopic // its own have eight slashes
	}
	return len(topic) > maximumTopic || strings.Count(topic, "/") > maximumSlashes
}

// refuse answers a message that is not allowed: some end the connection, and so
// do others for QoS 0, where there is no answer.
func (h *hook) refuse(c *client, pk packets.Packet, code byte) error {
	h.cloud.counts.rejected.Add(1)
	switch {
	case code == codeReserved:
		return h.violation(c.mochi, packets.ErrNotAuthorized)
	case code == packets.ErrPacketTooLarge.Code:
		return h.violation(c.mochi, packets.ErrPacketTooLarge)
	case old(c.mochi):
		c.wire.reset()
	case pk.FixedHeader.Qos > 0:
		c.ack(pk.PacketID, code)
	case code == packets.ErrNotAuthorized.Code && h.cloud.options.IgnoreQoS0:
	default:
		return h.violation(c.mochi, packets.Code{Code: code, Reason: "message refused"})
	}
	return packets.ErrRejectPacket
}

// deliver counts an accepted message and hands it on.
func (h *hook) deliver(c *client, pk packets.Packet, m *Message) {
	h.cloud.counts.accepted(m.Size())
	if h.cloud.options.OnPublish != nil {
		h.cloud.options.OnPublish(*m)
	}
	if rule, ok := strings.CutPrefix(m.Topic, "$aws/rules/"); ok {
		name, _, _ := strings.Cut(rule, "/")
		h.cloud.ingest(name, m)
		return
	}
	if h.cloud.shadows.Request(&c.requests, m.Topic, m.Payload) || h.cloud.executions.Request(m.Topic, m.Payload) ||
		h.cloud.served(c, m) {
		return
	}
	out := pk.Copy(false)
	out.FixedHeader.Type = packets.Publish
	out.PacketID = 1 // required for QoS 1, and meaningless here
	copies := 1
	if h.cloud.duplicates.Load() {
		copies = 2
	}
	for range copies {
		if err := h.cloud.fanOut.publish(func() error { return h.cloud.server.InjectPacket(c.proxy, out) }); err != nil {
			h.cloud.log.Warn("message cannot be handed on", "topic", m.Topic, "err", err)
		}
	}
}

// ack sends a PUBACK.
func (c *client) ack(id uint16, code byte) {
	c.unacked.Add(-1)
	_ = c.mochi.WritePacket(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: id,
		ReasonCode: code})
}

// OnWillSent runs when the last will of a client has been published.
func (h *hook) OnWillSent(cl *mochi.Client, pk packets.Packet) {
	m := Message{Client: cl.ID, Topic: pk.TopicName, Payload: pk.Payload, QoS: pk.FixedHeader.Qos,
		Retain: pk.FixedHeader.Retain, At: time.Now()}
	h.cloud.counts.accepted(m.Size())
	if h.cloud.options.OnPublish != nil {
		h.cloud.options.OnPublish(m)
	}
}

// Rule makes a rule of that name: f gets what is published to it by Basic
// Ingest. nil removes it.
func (c *Cloud) Rule(name string, f func(Message)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f == nil {
		delete(c.rules, name)
		return
	}
	c.rules[name] = f
}

// ingest hands a message to a rule. One that does not exist loses it, and only a
// metric tells.
func (c *Cloud) ingest(rule string, m *Message) {
	c.mu.Lock()
	f := c.rules[rule]
	c.mu.Unlock()
	if f == nil {
		c.counts.ruleNotFound.Add(1)
		return
	}
	f(*m)
}

// Duplicate delivers each message twice to every subscriber, under another
// packet id and without the DUP flag, as AWS sometimes does.
func (c *Cloud) Duplicate(on bool) { c.duplicates.Store(on) }
