package awsiottest

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
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
)

// client is a connected client.
type client struct {
	mochi   *mochi.Client
	proxy   *mochi.Client // publishes in its name, past its limits
	wire    *wire
	unacked atomic.Int32 // QoS 1 messages whose PUBACK was not sent yet

	mu      sync.Mutex
	aliases map[uint16]string // guarded by mu
}

// hook makes AWS IoT Core of the broker.
type hook struct {
	mochi.HookBase
	cloud *Cloud
}

func (h *hook) ID() string { return "aws" }

func (h *hook) Provides(b byte) bool {
	return bytes.Contains([]byte{mochi.OnConnect, mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnSessionEstablish,
		mochi.OnDisconnect, mochi.OnPacketRead, mochi.OnPacketEncode, mochi.OnPublish, mochi.OnWillSent}, []byte{b})
}

var errClosed = errors.New("closed without CONNACK")

// OnConnect decides about a CONNECT. An error closes the connection; what the
// client is to be told is sent before.
func (h *hook) OnConnect(cl *mochi.Client, pk packets.Packet) error {
	refuse := func(code packets.Code) error {
		h.cloud.counts.refused.Add(1)
		h.cloud.log.Info("CONNECT refused", "client", pk.Connect.ClientIdentifier, "code", code.Code, "why", code.Reason)
		_ = h.cloud.server.SendConnack(cl, code, false, nil)
		return code
	}
	id := pk.Connect.ClientIdentifier
	if len(id) > maximumClientID || strings.HasPrefix(id, "$") {
		return refuse(packets.ErrClientIdentifierNotValid)
	}
	s := cl.Net.Conn.(*session)
	if name := s.ConnectionState().PeerCertificates[0].Subject.CommonName; id != name {
		return refuse(packets.ErrNotAuthorized)
	}
	if f := h.cloud.connectScript.Load(); f != nil && *f != nil {
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
			return refuse(packets.Code{Code: v.Code, Reason: "on demand"})
		}
	}
	if k := keepAlive(pk.Connect.Keepalive); k != pk.Connect.Keepalive {
		cl.State.Keepalive, cl.State.ServerKeepalive = k, true
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

// OnACLCheck lets all through: what may be published is checked in OnPublish.
func (h *hook) OnACLCheck(*mochi.Client, string, bool) bool { return true }

// OnSessionEstablish runs when the CONNECT is accepted, before the CONNACK.
func (h *hook) OnSessionEstablish(cl *mochi.Client, _ packets.Packet) {
	c := h.cloud
	c.counts.connects.Add(1)
	proxy := c.server.NewClient(nil, mochi.LocalListener, cl.ID, true)
	proxy.Properties.ProtocolVersion = 5
	c.mu.Lock()
	c.clients[cl.ID] = &client{mochi: cl, proxy: proxy, wire: cl.Net.Conn.(*session).wire, aliases: make(map[uint16]string)}
	c.mu.Unlock()
	c.log.Info("client connected", "client", cl.ID, "from", cl.Net.Remote)
}

// OnDisconnect runs when a connection has ended.
func (h *hook) OnDisconnect(cl *mochi.Client, err error, _ bool) {
	c := h.cloud
	c.mu.Lock()
	if known := c.clients[cl.ID]; known != nil && known.mochi == cl {
		delete(c.clients, cl.ID)
	}
	c.mu.Unlock()
	c.log.Info("client disconnected", "client", cl.ID, "why", err)
}

// OnPacketEncode completes the CONNACK as AWS sends it.
func (h *hook) OnPacketEncode(_ *mochi.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type != packets.Connack || pk.ReasonCode >= 0x80 {
		return pk
	}
	p := &pk.Properties
	p.MaximumPacketSize = maximumPacket
	p.TopicAliasMaximum = topicAliasMaximum
	p.RetainAvailable, p.RetainAvailableFlag = 1, true
	p.WildcardSubAvailable, p.WildcardSubAvailableFlag = 1, true
	p.SharedSubAvailable, p.SharedSubAvailableFlag = 1, true
	p.SubIDAvailable, p.SubIDAvailableFlag = 0, true
	return pk
}

// OnPacketRead refuses what breaks a limit of the connection.
func (h *hook) OnPacketRead(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	violation := func(code packets.Code) (packets.Packet, error) { return pk, h.violation(cl, code) }
	if pk.FixedHeader.Remaining+1+lengthBytes(pk.FixedHeader.Remaining) > maximumPacket {
		return violation(packets.ErrPacketTooLarge)
	}
	switch pk.FixedHeader.Type {
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
		if code := h.resolveAlias(cl, &pk); code != packets.CodeSuccess {
			return violation(code)
		}
	}
	return pk, nil
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
