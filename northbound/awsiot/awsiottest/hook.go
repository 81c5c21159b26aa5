package awsiottest

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/northbound/awsiot/awsiottest/rules"
)

// What AWS IoT Core grants and allows.
const (
	receiveMaximum    = 100
	maximumPacket     = 149504
	maximumPayload    = 128 << 10
	topicAliasMaximum = 8
	maximumTopic      = 256 // bytes
	maximumSlashes    = 7
	maximumClientID   = 128 // bytes
	maximumFilters    = 8   // in one SUBSCRIBE
	minimumKeepAlive  = 30  // seconds; less is taken as this
	maximumKeepAlive  = 1200
	maximumExpiry     = 604800 // seconds a message may wait
)

// client is a connected client.
type client struct {
	mochi    *mochi.Client
	proxy    *mochi.Client // publishes in its name, past its limits
	wire     *wire
	who      *principal
	session  string // identifier in events
	version  uint64 // in events: the same for a connect and its disconnect
	messages *rules.Bucket
	bytes    *rules.Bucket
	unacked  atomic.Int32 // QoS 1 messages whose PUBACK was not sent yet
	requests atomic.Int32 // shadow requests not answered yet
	resuming atomic.Bool  // a session is being resumed

	mu          sync.Mutex
	aliases     map[uint16]string // guarded by mu, as all below
	suback      map[uint16][]byte // reason codes that replace the broker's
	silent      map[uint16]bool   // SUBSCRIBEs that get no answer
	subscribing map[string]bool   // filters that are being subscribed to
}

// hook makes AWS IoT Core of the broker.
type hook struct {
	mochi.HookBase
	cloud *Cloud
}

func (h *hook) ID() string { return "aws" }

func (h *hook) Provides(b byte) bool {
	return bytes.Contains([]byte{mochi.OnConnect, mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnSessionEstablish,
		mochi.OnSessionEstablished, mochi.OnDisconnect, mochi.OnPacketRead, mochi.OnPacketProcessed, mochi.OnPacketEncode,
		mochi.OnPublish, mochi.OnWillSent,
		mochi.OnSubscribe, mochi.OnSubscribed, mochi.OnQosPublish}, []byte{b})
}

var (
	errClosed = errors.New("closed without CONNACK")
	errEarly  = errors.New("the client sent something before the CONNACK")
)

// OnConnect decides about a CONNECT. An error closes the connection; what the
// client is to be told is sent before.
func (h *hook) OnConnect(cl *mochi.Client, pk packets.Packet) error {
	c, s := h.cloud, cl.Net.Conn.(*mqttConn)
	id := pk.Connect.ClientIdentifier
	c.counts.other(len(id) + len(pk.Connect.WillTopic) + len(pk.Connect.WillPayload))
	if s.early() {
		return errEarly
	}
	if id == "" {
		id = "$GEN/" + uuid()
		cl.ID, cl.Properties.Props.AssignedClientID = id, id
	} else if len(id) > maximumClientID || strings.HasPrefix(id, "$") {
		return h.refuseConnect(cl, packets.ErrClientIdentifierNotValid)
	}
	leaf := s.ConnectionState().PeerCertificates[0]
	address, _, _ := net.SplitHostPort(cl.Net.Remote)
	s.who = c.newPrincipal(leaf, id, address)
	s.who.watches = watches(c, cl, pk, leaf.Subject.CommonName)
	if c.options.Throttle != ThrottleOff && c.tooSoon(id) {
		return h.refuseConnect(cl, packets.ErrQuotaExceeded)
	}
	if !c.allowed(s.who, "iot:Connect", "client/"+id) ||
		pk.Connect.WillFlag && !c.allowed(s.who, "iot:Publish", "topic/"+pk.Connect.WillTopic) {
		c.emit("presence/connect_failed", event{ClientID: id, Type: "connect_failed", Principal: s.who.certificate,
			ConnectFailed: "AUTHORIZATION_FAILED"})
		return h.refuseConnect(cl, packets.ErrNotAuthorized)
	}
	if pk.Connect.WillFlag && topicTooLong(pk.Connect.WillTopic) {
		return h.refuseConnect(cl, packets.ErrTopicNameInvalid)
	}
	if err := h.scripted(cl, s, id); err != nil {
		return err
	}
	if k := keepAlive(pk.Connect.Keepalive); k != pk.Connect.Keepalive {
		cl.State.Keepalive, cl.State.ServerKeepalive = k, true
	}
	if granted := cl.Properties.Props.ReceiveMaximum; granted == 0 || granted > receiveMaximum {
		cl.Properties.Props.ReceiveMaximum = receiveMaximum
		cl.State.Inflight.ResetSendQuota(receiveMaximum)
	}
	return nil
}

// refuseConnect answers a CONNECT with a reason.
func (h *hook) refuseConnect(cl *mochi.Client, code packets.Code) error {
	h.cloud.counts.refused.Add(1)
	h.cloud.log.Info("CONNECT refused", "client", cl.ID, "code", code.Code, "why", code.Reason)
	_ = h.cloud.server.SendConnack(cl, code, false, nil)
	return code
}

// scripted does to a CONNECT what was asked for.
func (h *hook) scripted(cl *mochi.Client, s *mqttConn, id string) error {
	f := h.cloud.connectScript.Load()
	if f == nil || *f == nil {
		return nil
	}
	v := (*f)(id)
	if v.Delay > 0 {
		select {
		case <-time.After(v.Delay):
		case <-s.wire.closed:
		}
	}
	if v.Close {
		h.cloud.counts.refused.Add(1)
		return errClosed
	}
	if v.Code >= 0x80 {
		return h.refuseConnect(cl, packets.Code{Code: v.Code, Reason: "on demand"})
	}
	return nil
}

// keepAlive returns what AWS makes of a keep-alive.
func keepAlive(asked uint16) uint16 {
	if asked == 0 {
		return maximumKeepAlive
	}
	return min(max(asked, minimumKeepAlive), maximumKeepAlive)
}

// OnConnectAuthenticate: the certificate has been checked before.
func (h *hook) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }

// OnSessionEstablish runs when the CONNECT is accepted, before the CONNACK.
func (h *hook) OnSessionEstablish(cl *mochi.Client, _ packets.Packet) {
	c, s := h.cloud, cl.Net.Conn.(*mqttConn)
	c.counts.connects.Add(1)
	proxy := c.server.NewClient(nil, mochi.LocalListener, cl.ID, true)
	proxy.Properties.ProtocolVersion = 5
	known := &client{mochi: cl, proxy: proxy, wire: s.wire, who: s.who, session: uuid(),
		messages: rules.NewBucket(rules.MessageRate), bytes: rules.NewBucket(rules.ByteRate),
		aliases: make(map[uint16]string), suback: make(map[uint16][]byte), silent: make(map[uint16]bool),
		subscribing: make(map[string]bool)}
	known.resuming.Store(true)
	s.client.Store(known)
	c.mu.Lock()
	known.version = c.versions[cl.ID]
	c.versions[cl.ID]++
	c.clients[cl.ID] = known
	c.mu.Unlock()
	c.log.Info("client connected", "client", cl.ID, "from", cl.Net.Remote)
	e := known.event("connected")
	e.Address = s.who.variables["aws:SourceIp"]
	c.emit("presence/connected", e)
}

// OnSessionEstablished runs after the CONNACK and what a resumed session missed.
func (h *hook) OnSessionEstablished(cl *mochi.Client, _ packets.Packet) {
	if c := h.cloud.client(cl.ID); c != nil && c.mochi == cl {
		c.resuming.Store(false)
	}
}

// OnDisconnect runs when a connection has ended.
func (h *hook) OnDisconnect(cl *mochi.Client, err error, _ bool) {
	c := h.cloud
	s, ok := cl.Net.Conn.(*mqttConn)
	if !ok {
		return
	}
	s.turn.end() // after a DISCONNECT nothing is read any more
	known := s.client.Load()
	c.mu.Lock()
	if c.clients[cl.ID] == known {
		delete(c.clients, cl.ID)
	}
	c.mu.Unlock()
	if known == nil {
		return
	}
	c.log.Info("client disconnected", "client", cl.ID, "why", err)
	e := known.event("disconnected")
	e.Reason = reasonOf(cl)
	if s.silent.Load() {
		e.Reason = "MQTT_KEEP_ALIVE_TIMEOUT"
	}
	initiated := e.Reason == "CLIENT_INITIATED_DISCONNECT"
	e.Initiated = &initiated
	c.emit("presence/disconnected", e)
}

// OnPacketEncode completes the CONNACK as AWS sends it, corrects SUBACKs and
// meters what is delivered.
func (h *hook) OnPacketEncode(cl *mochi.Client, pk packets.Packet) packets.Packet {
	switch {
	case pk.FixedHeader.Type == packets.Publish:
		h.cloud.counts.other(len(pk.TopicName) + len(pk.Payload) + len(pk.Properties.ContentType))
	case pk.FixedHeader.Type == packets.Connack && pk.ReasonCode < 0x80:
		p := &pk.Properties
		p.MaximumPacketSize = maximumPacket
		if m := h.cloud.options.MaximumPacket; m > 0 {
			p.MaximumPacketSize = m
		}
		p.TopicAliasMaximum = topicAliasMaximum
		p.RetainAvailable, p.RetainAvailableFlag = 1, true
		p.WildcardSubAvailable, p.WildcardSubAvailableFlag = 1, true
		p.SharedSubAvailable, p.SharedSubAvailableFlag = 1, true
		p.SubIDAvailable, p.SubIDAvailableFlag = 0, true
	case pk.FixedHeader.Type == packets.Suback:
		if c := h.cloud.client(cl.ID); c != nil && c.mochi == cl {
			c.mu.Lock()
			for i, code := range c.suback[pk.PacketID] {
				if code != 0 && old(cl) {
					code = 0x80 // MQTT 3.1.1, section 3.9.3
				}
				if code != 0 {
					pk.ReasonCodes[i] = code
				}
			}
			delete(c.suback, pk.PacketID)
			c.mu.Unlock()
		}
	}
	return pk
}

// OnPacketRead refuses what breaks a limit of the connection.
func (h *hook) OnPacketRead(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if s, ok := cl.Net.Conn.(*mqttConn); ok {
		s.turn.end() // it was read before
		if pk.FixedHeader.Type == packets.Puback {
			s.turn.take()
		}
	}
	violation := func(code packets.Code) (packets.Packet, error) { return pk, h.violation(cl, code) }
	size := pk.FixedHeader.Remaining + 1 + lengthBytes(pk.FixedHeader.Remaining)
	if size > maximumPacket {
		return violation(packets.ErrPacketTooLarge)
	}
	switch pk.FixedHeader.Type {
	case packets.Puback:
		h.cloud.counts.other(size)
	case packets.Subscribe:
		if len(pk.Properties.SubscriptionIdentifier) > 0 {
			return violation(packets.ErrSubscriptionIdentifiersNotSupported)
		}
		if len(pk.Filters) > maximumFilters {
			return violation(packets.ErrQuotaExceeded)
		}
	case packets.Publish:
		if pk.FixedHeader.Qos > 1 {
			return violation(packets.ErrQosNotSupported)
		}
		h.slow(cl, size)
		expiry(&pk)
		if code := h.resolveAlias(cl, &pk); code != packets.CodeSuccess {
			return violation(code)
		}
	}
	return pk, nil
}

// slow delays a client that sends more bytes than allowed; nothing is lost.
func (h *hook) slow(cl *mochi.Client, size int) {
	c := h.cloud.client(cl.ID)
	if h.cloud.options.Throttle == ThrottleOff || c == nil || c.mochi != cl {
		return
	}
	if d := c.bytes.Owe(float64(size)); d > 0 {
		select {
		case <-time.After(d):
		case <-c.wire.closed:
		}
	}
}

// expiry brings a message's expiry into AWS's range. The broker does not tell an
// expiry of 0 from none; its five bytes give it away.
func expiry(pk *packets.Packet) {
	p := &pk.Properties
	if p.MessageExpiryInterval > maximumExpiry {
		p.MessageExpiryInterval = maximumExpiry
	}
	if p.MessageExpiryInterval > 0 {
		return
	}
	var known bytes.Buffer
	p.Encode(packets.Publish, packets.Mods{AllowResponseInfo: true}, &known, 0)
	rest := pk.FixedHeader.Remaining - 2 - len(pk.TopicName) - len(pk.Payload)
	if pk.FixedHeader.Qos > 0 {
		rest -= 2
	}
	const encoded = 5 // identifier and four bytes
	if rest-known.Len() == encoded {
		p.MessageExpiryInterval = 1
	}
}

// resolveAlias fills in the topic of a message that has only an alias.
func (h *hook) resolveAlias(cl *mochi.Client, pk *packets.Packet) packets.Code {
	if !pk.Properties.TopicAliasFlag {
		return packets.CodeSuccess
	}
	alias := pk.Properties.TopicAlias
	if alias == 0 || alias > topicAliasMaximum {
		return packets.ErrTopicAliasInvalid
	}
	c := h.cloud.client(cl.ID)
	if c == nil || c.mochi != cl {
		return packets.ErrUnspecifiedError
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if pk.TopicName != "" {
		c.aliases[alias] = pk.TopicName
	} else if pk.TopicName = c.aliases[alias]; pk.TopicName == "" {
		return packets.ErrProtocolViolationNoTopic
	}
	pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = 0, false
	return packets.CodeSuccess
}

// violation disconnects a client.
func (h *hook) violation(cl *mochi.Client, code packets.Code) error {
	h.cloud.counts.violations.Add(1)
	h.cloud.log.Info("client breaks a rule, disconnecting it", "client", cl.ID, "code", code.Code, "why", code.Reason)
	if c := h.cloud.client(cl.ID); c != nil && c.mochi == cl && old(cl) {
		c.wire.reset() // only clients say DISCONNECT there
		return code
	}
	_ = h.cloud.server.DisconnectClient(cl, code)
	return code
}

// lengthBytes returns the size of an MQTT variable byte integer.
func lengthBytes(n int) int {
	size := 1
	for ; n >= 128; n /= 128 {
		size++
	}
	return size
}
