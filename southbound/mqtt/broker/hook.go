package broker

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/southbound/mqtt/inlet"
)

var errRefused = errors.New("the queue refused a message of the client")

// hook is how the embedded broker tells what clients do.
type hook struct {
	mochi.HookBase
	broker *Broker
}

// ID names the hook to the broker.
func (h *hook) ID() string { return "fieldbridge" }

// Provides reports what the hook wants to be told.
func (h *hook) Provides(b byte) bool {
	switch b {
	case mochi.OnConnect, mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnPublish, mochi.OnWillSent,
		mochi.OnPacketEncode,
		mochi.OnSubscribe, mochi.OnSubscribed, mochi.OnUnsubscribed, mochi.OnQosPublish, mochi.OnQosComplete,
		mochi.OnQosDropped, mochi.OnWill, mochi.OnRetainedExpired, mochi.OnSessionEstablish, mochi.OnSessionEstablished, mochi.OnDisconnect, mochi.OnClientExpired:
		return true
	}
	return false
}

// OnConnect is called when CONNECT has been read.
func (h *hook) OnConnect(cl *mochi.Client, _ packets.Packet) error {
	cl.Properties.Props.User, cl.Properties.Props.AuthenticationData = nil, nil // nobody reads them
	if c, ok := cl.Net.Conn.(*conn); ok {
		c.mu.Lock()
		c.client = cl
		c.mu.Unlock()
		h.broker.asks(c)
	}
	return nil
}

// OnSessionEstablish is called before a client takes its session over.
func (h *hook) OnSessionEstablish(cl *mochi.Client, pk packets.Packet) {
	if pk.Connect.Clean {
		h.broker.repeats.forget(cl.ID)
	}
	old, known := h.broker.server.Clients.Get(cl.ID)
	if !known || pk.Connect.Clean {
		return
	}
	// What waits was allowed when it came; the broker sends it again without asking.
	for _, waits := range old.State.Inflight.GetAll(false) {
		if waits.FixedHeader.Type == packets.Publish && waits.TopicName != "" &&
			!h.OnACLCheck(cl, waits.TopicName, false) && old.State.Inflight.Delete(waits.PacketID) {
			atomic.AddInt64(&h.broker.server.Info.Inflight, -1)
		}
	}
}

// OnSessionEstablished is called when a client has been let in, before its first
// packet after CONNECT is read.
func (h *hook) OnSessionEstablished(cl *mochi.Client, _ packets.Packet) {
	if c, ok := cl.Net.Conn.(*conn); ok {
		c.self = cl
		if cl.Properties.Props.ReceiveMaximum >= maxOutbound {
			// No client has more in flight anyway. mochi can stop for ever while it
			// counts: Inflight.NextImmediate takes a read lock twice, and a publisher
			// may ask for the lock in between.
			cl.State.Inflight.ResetSendQuota(0)
		}
		c.patience = time.Duration(cl.State.Keepalive) * time.Second * 3 / 2 // MQTT-3.1.2-22
	}
}

// OnDisconnect is called when a connection has ended, and with expire the
// session.
func (h *hook) OnDisconnect(cl *mochi.Client, _ error, expire bool) {
	if expire && !cl.IsTakenOver() {
		h.broker.forget(cl.ID)
	}
}

// forget is the end of a session.
func (e *Broker) forget(session string) {
	e.repeats.forget(session)
	e.memory.logins.Drop(session)
}

// OnClientExpired is called when a session has ended.
func (h *hook) OnClientExpired(cl *mochi.Client) {
	cl.ClearInflights()
	h.broker.server.UnsubscribeClient(cl) // the broker's library does not
	h.broker.forget(cl.ID)
}

// OnSubscribe ends a client that wants too much.
func (h *hook) OnSubscribe(cl *mochi.Client, pk packets.Packet) packets.Packet {
	if cl.State.Subscriptions.Len()+len(pk.Filters) > maxSubscriptions {
		h.broker.log.Warn("client disconnected: it has too many subscriptions",
			"client", clientID(cl), "max", maxSubscriptions)
		_ = h.broker.server.DisconnectClient(cl, packets.ErrQuotaExceeded)
		pk.Filters = nil
		return pk
	}
	wanted := int64(0)
	for _, f := range pk.Filters {
		if len(f.Filter) <= inlet.MaxTopic && strings.Count(f.Filter, "/") < maxLevels { // others are refused
			wanted += weight(f.Filter)
		}
	}
	if pool := h.broker.memory.subscribed; !fair(pool, cl.ID, wanted) {
		h.broker.blame(tooMuchSubscribed, clientName(cl))
		_ = h.broker.server.DisconnectClient(cl, packets.ErrQuotaExceeded)
		pk.Filters = nil
	}
	return pk
}

// OnSubscribed counts what a client has subscribed to.
func (h *hook) OnSubscribed(cl *mochi.Client, _ packets.Packet, _ []byte) { h.countSubscriptions(cl) }

// OnUnsubscribed counts what a client is still subscribed to.
func (h *hook) OnUnsubscribed(cl *mochi.Client, _ packets.Packet) { h.countSubscriptions(cl) }

func (h *hook) countSubscriptions(cl *mochi.Client) {
	sum := int64(0)
	for filter := range cl.State.Subscriptions.GetAll() {
		sum += weight(filter)
	}
	h.broker.memory.subscribed.Drop(cl.ID)
	if sum > 0 {
		h.broker.memory.subscribed.Force(cl.ID, sum)
	}
}

// OnWill is called when a last will is about to be sent.
func (h *hook) OnWill(cl *mochi.Client, will mochi.Will) (mochi.Will, error) {
	if will.Retain {
		will.Retain = h.broker.mayRetain(cl.ID, will.TopicName, will.Payload)
	}
	return will, nil
}

// OnRetainedExpired is called when a retained message has ended.
func (h *hook) OnRetainedExpired(topic string) { h.broker.notRetained(topic) }

// OnPublish takes a client's message. One that must be acknowledged is kept
// from the broker, which would acknowledge it at once: local subscribers get it
// by forward.
func (h *hook) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	c, ok := cl.Net.Conn.(*conn)
	if !ok { // from forward
		return pk, nil
	}
	if pk.TopicName == "" { // an alias that was never set
		_ = h.broker.server.DisconnectClient(cl, packets.ErrTopicAliasInvalid)
		return pk, packets.ErrRejectPacket
	}
	if !pk.Properties.TopicAliasFlag {
		c.learn(pk.TopicName)
	} else if !mayPublish(c.topics, pk.TopicName) {
		if pk.FixedHeader.Qos > 0 {
			c.deny(pk.PacketID, pk.FixedHeader.Qos)
		}
		return pk, packets.ErrRejectPacket
	}
	h.broker.messages.Add(1)
	m := inlet.Message{Topic: pk.TopicName, Payload: pk.Payload, At: time.Now(), From: cl.ID}
	if pk.FixedHeader.Qos == 0 {
		pk.FixedHeader.Retain = pk.FixedHeader.Retain && h.broker.mayRetain(cl.ID, pk.TopicName, pk.Payload)
		h.broker.ingest(m, nil)
		return pk, nil
	}
	if pk.FixedHeader.Qos == 2 && c.again(cl.ID, pk.PacketID) {
		return pk, packets.ErrRejectPacket
	}
	a := c.expect(cl.ID, pk.PacketID, pk.FixedHeader.Qos)
	if a == nil {
		h.broker.flooded(cl)
		return pk, packets.ErrRejectPacket
	}
	pk.FixedHeader.Retain = pk.FixedHeader.Retain && h.broker.mayRetain(cl.ID, pk.TopicName, pk.Payload)
	if pk.FixedHeader.Retain || atomic.LoadInt64(&h.broker.server.Info.Subscriptions) > 0 {
		h.broker.forward(c, pk)
	}
	m.Held = a.held
	h.broker.ingest(m, a.safe)
	return pk, packets.ErrRejectPacket
}

// OnWillSent takes a client's last will: it is a message as any other, but
// nobody waits for its acknowledgement. When the broker stops, no client has
// died.
func (h *hook) OnWillSent(cl *mochi.Client, pk packets.Packet) {
	if h.broker.stopping.Load() {
		return
	}
	h.broker.messages.Add(1)
	h.broker.ingest(inlet.Message{Topic: pk.TopicName, Payload: pk.Payload, At: time.Now(), From: cl.ID}, nil)
}

// OnPacketEncode mends what the broker is about to send: CONNACK lacks its
// limits, and it answers a repeated QoS 2 message as if its id were in use by
// another.
func (h *hook) OnPacketEncode(_ *mochi.Client, pk packets.Packet) packets.Packet {
	switch pk.FixedHeader.Type {
	case packets.Connack:
		pk.Properties.MaximumPacketSize = uint32(h.broker.config.PacketLimit())
		pk.Properties.TopicAliasMaximum = maxAliases
	case packets.Pubrec:
		if pk.ReasonCode == packets.ErrPacketIdentifierInUse.Code {
			pk.ReasonCode = packets.CodeSuccess.Code
			pk.Properties.ReasonString = ""
		}
	}
	return pk
}
