package awsiot

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/payload"
)

// session is one connection to the cloud, from CONNECT to its end.
type session struct {
	cfg    *Config
	raw    net.Conn // below TLS
	conn   *packetConn
	pinger *pinger
	client *paho.Client
	flight *inflight
	told   func(topic string, code byte) // called with each PUBACK of [bridge.Link]
	facts  *connectError                 // to explain how it ends
	since  time.Time
	tls    tls.ConnectionState

	inbound inbound

	// Granted by the CONNACK.
	receiveMaximum int
	maximumPacket  int

	sending sync.Mutex // messages leave in the order of the calls

	ctx  context.Context // ends when the connection is given up or lost
	stop context.CancelCauseFunc
}

var _ bridge.Link = (*session)(nil)

// partTime is how long the cloud may take to close after our DISCONNECT.
const partTime = time.Second

// errSilent is why a connection is given up on which no acknowledgement comes.
var errSilent = errors.New("no acknowledgement in time")

func newSession(cfg *Config, raw net.Conn, conn *tls.Conn, facts *connectError) *session {
	s := &session{cfg: cfg, raw: raw, flight: newInflight(), facts: facts}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	s.flight.ended = func() { s.fail(errConnectionLost) }
	context.AfterFunc(s.ctx, s.abort)
	s.conn, s.pinger = &packetConn{Conn: conn, failed: s.fail}, &pinger{paho.NewDefaultPinger(), s.fail}
	s.client = paho.NewClient(paho.ClientConfig{
		Conn:              s.conn,
		Session:           s.flight,
		PingHandler:       s.pinger,
		PacketTimeout:     cfg.ConnectTimeout.D(),
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){s.inbound.received},
		OnServerDisconnect: func(d *paho.Disconnect) {
			s.fail(&disconnectError{code: d.ReasonCode})
		},
		OnClientError: s.fail,
	})
	return s
}

// pinger tells of the silence that it finds.
type pinger struct {
	*paho.DefaultPinger
	failed func(error)
}

func (p *pinger) Run(ctx context.Context, conn net.Conn, keepAlive uint16) error {
	err := p.DefaultPinger.Run(ctx, conn, keepAlive)
	if err != nil {
		p.failed(err)
	}
	return err
}

// connect sends the CONNECT and takes what the CONNACK grants.
func (s *session) connect(ctx context.Context, packet *paho.Connect) error {
	ack, err := s.client.Connect(ctx, packet)
	if err != nil {
		s.stop(err)
		if ack != nil && ack.ReasonCode >= 0x80 {
			refusal := &connackError{code: ack.ReasonCode}
			if ack.Properties != nil {
				refusal.reason = ack.Properties.ReasonString
			}
			return refusal
		}
		return err
	}
	s.since = time.Now()
	s.receiveMaximum, s.maximumPacket = maxInFlight, maxPacket
	if p := ack.Properties; p != nil {
		if p.ReceiveMaximum != nil && *p.ReceiveMaximum > 0 {
			s.receiveMaximum = min(s.receiveMaximum, int(*p.ReceiveMaximum))
		}
		if p.MaximumPacketSize != nil && *p.MaximumPacketSize > 0 {
			s.maximumPacket = min(s.maximumPacket, int(*p.MaximumPacketSize))
		}
	}
	s.flight.grant(min(s.receiveMaximum, s.cfg.Window+statusWindow))
	return nil
}

// fail ends the session for a reason; the first one counts. It only marks the
// end, [session.close] makes it.
func (s *session) fail(err error) {
	if d := s.flight.disconnect(); d != nil {
		refusal := &disconnectError{code: d.ReasonCode}
		if d.Properties != nil {
			refusal.reason = d.Properties.ReasonString
		}
		err = refusal
	}
	s.stop(err)
}

// cause returns why the session ended, or nil while it is up.
func (s *session) cause() error {
	if s.ctx.Err() == nil {
		return nil
	}
	return context.Cause(s.ctx)
}

// Limits implements [bridge.Link].
func (s *session) Limits() bridge.Limits {
	limits := bridge.Limits{Window: min(s.cfg.Window, s.receiveMaximum), Bytes: float64(s.cfg.Rate.Bytes)}
	if s.cfg.Rate.Messages > 0 {
		// AWS counts the messages of the status topic, too.
		limits.Messages = min(s.cfg.Rate.Messages, maxMessages-statusRate)
	}
	return limits
}

// Publish implements [bridge.Link].
func (s *session) Publish(m bridge.Message, done func(error)) {
	s.publish(m, func(code byte, err error) {
		if err == nil {
			s.told(m.Topic, code)
			err = pubackError(m.Topic, code)
		}
		done(err)
	})
}

// publish sends a message; done gets the PUBACK's reason, or why there is none.
func (s *session) publish(m bridge.Message, done func(code byte, err error)) {
	s.send(m, nil, done)
}

// reply is publish for the answer to a request.
func (s *session) reply(topic string, body, correlation []byte, done func(code byte, err error)) {
	s.send(bridge.Message{Topic: topic, Payload: body, ContentType: payload.ContentType}, correlation, done)
}

func (s *session) send(m bridge.Message, correlation []byte, done func(code byte, err error)) {
	if err := s.fits(&m); err != nil {
		done(0, err)
		return
	}
	if !s.flight.acquire() {
		done(0, errConnectionLost)
		return
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	id, err := s.flight.add(&pending{done: done})
	if err != nil {
		// It is not in flight: nobody else will tell.
		<-s.flight.slots
		done(0, fmt.Errorf("%w: %w", errConnectionLost, err))
		return
	}
	s.conn.publish(id, &m, correlation)
	s.pinger.PacketSent()
}

// fits checks what AWS would answer by closing the connection.
func (s *session) fits(m *bridge.Message) error {
	if len(m.Payload) > payload.MaxBytes {
		return bridge.Permanent(fmt.Errorf("payload of %d bytes: AWS allows %d", len(m.Payload), payload.MaxBytes))
	}
	if topic := payload.WithoutRule(m.Topic); len(topic) > payload.MaxTopic {
		return bridge.Permanent(fmt.Errorf("topic of %d bytes: AWS allows %d", len(m.Topic), payload.MaxTopic))
	}
	if size := packetSize(m); size > s.maximumPacket {
		return bridge.Permanent(fmt.Errorf("packet of %d bytes: the cloud allows %d", size, s.maximumPacket))
	}
	return nil
}

// packetSize returns the most bytes that m takes as a PUBLISH (MQTT 5, section
// 3.3): header, topic, packet id and properties with their lengths.
func packetSize(m *bridge.Message) int {
	return 1 + 4 + 2 + len(m.Topic) + 2 + 2 + 3 + len(m.ContentType) + len(m.Payload)
}

// pubackError returns what a PUBACK's reason means for the message.
func pubackError(topic string, code byte) error {
	if code < 0x80 {
		return nil
	}
	switch code {
	case packets.PubackTopicNameInvalid:
		return bridge.Permanent(fmt.Errorf("publish to %s: PUBACK 0x90, the topic is not allowed", topic))
	case packets.PubackPayloadFormatInvalid:
		return bridge.Permanent(fmt.Errorf("publish to %s: PUBACK 0x99, the payload is not what it says", topic))
	case packets.DisconnectPacketTooLarge:
		return bridge.Permanent(fmt.Errorf("publish to %s: PUBACK 0x95, the message is too large", topic))
	case packets.PubackNotAuthorized:
		return bridge.RefuseTopic(fmt.Errorf("publish to %s: PUBACK 0x87, the policy of the certificate does not allow it", topic))
	case packets.PubackQuotaExceeded:
		return fmt.Errorf("publish to %s: PUBACK 0x97, over a quota", topic)
	}
	return fmt.Errorf("publish to %s: PUBACK 0x%02X", topic, code)
}

// watch gives the session up when a message waits for its acknowledgement too
// long: the connection may be half open, or the cloud may have dropped the
// message, whose place in the window would be lost for ever.
func (s *session) watch() {
	limit := s.cfg.AckTimeout.D()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-timer.C:
		}
		since, ok := s.flight.waiting()
		switch age := time.Since(since); {
		case !ok:
			timer.Reset(limit)
		case age >= limit:
			s.fail(errSilent)
		default:
			timer.Reset(limit - age)
		}
	}
}

// close ends the connection and returns when nothing of it is left. Messages in
// flight get their outcome before. A connection that still works is ended with a
// DISCONNECT, so that the cloud does not publish the last will.
func (s *session) close() {
	if s.ctx.Err() == nil {
		s.part()
		s.stop(nil)
	}
	s.abort()
	<-s.client.Done()
}

// part sends the DISCONNECT and lets the cloud close the connection. Who closes
// while something is on its way from the other side resets the connection, and
// with it what the other side has not read yet: the DISCONNECT.
func (s *session) part() {
	// Do not wait for ever for a peer that has gone.
	timer := time.AfterFunc(partTime, func() { _ = s.raw.Close() })
	defer timer.Stop()
	d := &paho.Disconnect{ReasonCode: packets.DisconnectNormalDisconnection}
	if _, err := d.Packet().WriteTo(s.conn); err == nil {
		<-s.client.Done() // its reader has seen the end
	}
}

// abort breaks the connection and gives everything in flight its outcome.
func (s *session) abort() {
	_ = s.raw.Close()
	_ = s.flight.ConnectionLost(nil)
}
