package broker

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/trouble"
	"fieldbridge/southbound/mqtt/weigh"
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
		mochi.OnPacketRead, mochi.OnPublishDropped, mochi.OnPacketEncode,
		mochi.OnSubscribe, mochi.OnSubscribed, mochi.OnUnsubscribed, mochi.OnQosPublish, mochi.OnQosComplete,
		mochi.OnQosDropped, mochi.OnWill, mochi.OnRetainedExpired, mochi.OnSessionEstablish, mochi.OnSessionEstablished,
		mochi.OnDisconnect, mochi.OnClientExpired:
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
		h.broker.mu.Lock()
		h.broker.strangers.Asks(c)
		h.broker.mu.Unlock()
	}
	return nil
}

// OnSessionEstablish is called before a client takes its session over.
func (h *hook) OnSessionEstablish(cl *mochi.Client, pk packets.Packet) {
	if pk.Connect.Clean {
		h.broker.repeats.forget(cl.ID)
	}
	old, known := h.broker.server.Clients.Get(cl.ID)
	if known && !old.Closed() {
		h.broker.takenOver(old, cl)
	}
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
		h.broker.trouble.Welcome(who(cl))
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

// OnClientExpired is called when a session has ended.
func (h *hook) OnClientExpired(cl *mochi.Client) {
	cl.ClearInflights()
	h.broker.server.UnsubscribeClient(cl) // the broker's library does not
	h.broker.forget(cl.ID)
}

// OnSubscribe ends a client that wants too much. Another broker does not get back
// what it sent, and sees what is retained.
func (h *hook) OnSubscribe(cl *mochi.Client, pk packets.Packet) packets.Packet {
	if c, ok := cl.Net.Conn.(*conn); ok && c.bridge {
		for i := range pk.Filters {
			pk.Filters[i].NoLocal, pk.Filters[i].RetainAsPublished = true, true
		}
	}
	if cl.State.Subscriptions.Len()+len(pk.Filters) > maxSubscriptions {
		h.broker.trouble.Advise(trouble.Topic, who(cl), fmt.Sprintf("it wants more than %d subscriptions", maxSubscriptions),
			"let it subscribe with wildcards")
		_ = h.broker.server.DisconnectClient(cl, packets.ErrQuotaExceeded)
		pk.Filters = nil
		return pk
	}
	wanted := int64(0)
	for _, f := range pk.Filters {
		if len(f.Filter) <= inlet.MaxTopic && strings.Count(f.Filter, "/") < maxLevels { // others are refused
			wanted += weigh.Weight(f.Filter)
		}
	}
	if pool := h.broker.memory.Subscribed; !weigh.Fair(pool, cl.ID, wanted) {
		h.broker.blame(weigh.TooMuchSubscribed, who(cl))
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
		sum += weigh.Weight(filter)
	}
	h.broker.memory.Subscribed.Drop(cl.ID)
	if sum > 0 {
		h.broker.memory.Subscribed.Force(cl.ID, sum)
	}
}

// OnWill is called when a last will is about to be sent.
func (h *hook) OnWill(cl *mochi.Client, will mochi.Will) (mochi.Will, error) {
	if will.Retain {
		will.Retain = h.mayRetain(cl, will.TopicName, will.Payload)
	}
	return will, nil
}

// OnRetainedExpired is called when a retained message has ended.
func (h *hook) OnRetainedExpired(topic string) { h.broker.memory.Ended(topic) }

// OnPacketRead answers a message on a topic that nobody may publish to: the
// broker's library forgets it without an answer.
func (h *hook) OnPacketRead(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	c, ok := cl.Net.Conn.(*conn)
	if !ok || pk.FixedHeader.Type != packets.Publish || mochi.IsValidFilter(pk.TopicName, true) {
		return pk, nil
	}
	if !isBridgeState(pk.TopicName) {
		h.broker.refuseTopic(cl, pk.TopicName, true)
	}
	c.deny(pk.PacketID, pk.FixedHeader.Qos, packets.ErrTopicNameInvalid)
	// The broker's library drops it, without a word if it is valid otherwise.
	pk.FixedHeader.Qos, pk.FixedHeader.Dup, pk.PacketID, pk.TopicName = 0, false, 0, mochi.SysPrefix
	return pk, nil
}

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
	if !h.mayPublish(c, cl, pk.TopicName) {
		c.deny(pk.PacketID, pk.FixedHeader.Qos, packets.ErrNotAuthorized)
		return pk, packets.ErrRejectPacket
	}
	if !pk.Properties.TopicAliasFlag {
		c.learn(pk.TopicName)
	}
	h.broker.messages.Add(1)
	m := inlet.Message{Topic: pk.TopicName, Payload: pk.Payload, At: time.Now(), Type: pk.Properties.ContentType,
		From: cl.ID}
	if pk.FixedHeader.Qos == 0 {
		pk.FixedHeader.Retain = pk.FixedHeader.Retain && h.mayRetain(cl, pk.TopicName, pk.Payload)
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
	pk.FixedHeader.Retain = pk.FixedHeader.Retain && h.mayRetain(cl, pk.TopicName, pk.Payload)
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
	h.broker.ingest(inlet.Message{Topic: pk.TopicName, Payload: pk.Payload, At: time.Now(),
		Type: pk.Properties.ContentType, From: cl.ID}, nil)
}

// OnPacketEncode mends what the broker is about to send: CONNACK lacks its
// limits, and it answers a repeated QoS 2 message as if its id were in use by
// another.
func (h *hook) OnPacketEncode(cl *mochi.Client, pk packets.Packet) packets.Packet {
	switch pk.FixedHeader.Type {
	case packets.Connack:
		h.broker.refuse(cl, &pk)
		pk.Properties.MaximumPacketSize = uint32(h.broker.packetLimit())
		pk.Properties.TopicAliasMaximum = maxAliases
	case packets.Pubrec:
		if pk.ReasonCode == packets.ErrPacketIdentifierInUse.Code {
			pk.ReasonCode = packets.CodeSuccess.Code
			pk.Properties.ReasonString = ""
		}
	}
	return pk
}

// mayRetain reports whether a client's message may be retained.
func (h *hook) mayRetain(cl *mochi.Client, topic string, payload []byte) bool {
	may := h.broker.memory.Retain(cl.ID, topic, payload)
	if !may {
		h.broker.blame(weigh.TooMuchRetained, who(cl))
	}
	return may
}

// OnQosPublish is called when a message begins to wait for a client, and when it
// is sent again. If there is no room for it, the session that has most loses what
// it has: if that is another's, the message stays.
func (h *hook) OnQosPublish(cl *mochi.Client, pk packets.Packet, _ int64, _ int) {
	if pk.FixedHeader.Type != packets.Publish {
		return
	}
	greedy := h.broker.memory.Queue(cl.ID, pk.PacketID, len(pk.Payload)+len(pk.TopicName))
	if greedy == "" {
		return
	}
	victim := cl
	if other, ok := h.broker.server.Clients.Get(greedy); ok && greedy != cl.ID {
		victim = other
	}
	h.broker.blame(weigh.TooMuchQueued, who(victim))
	h.broker.shed(victim)
}

// OnPublishDropped is called when a message cannot be put into the queue of a
// client's connection.
func (h *hook) OnPublishDropped(cl *mochi.Client, pk packets.Packet) {
	h.broker.trouble.Note(trouble.Slow, who(cl), "messages for it are dropped, as on "+trouble.Short(pk.TopicName))
}

// OnQosComplete is called when a message was acknowledged.
func (h *hook) OnQosComplete(cl *mochi.Client, pk packets.Packet) {
	h.broker.memory.Unqueue(cl.ID, pk.PacketID)
}

// OnQosDropped is called when a message is forgotten.
func (h *hook) OnQosDropped(cl *mochi.Client, pk packets.Packet) {
	h.broker.memory.Unqueue(cl.ID, pk.PacketID)
}
