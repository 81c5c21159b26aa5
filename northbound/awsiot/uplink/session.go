package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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

// Session is one connection to the cloud, from CONNECT to its end.
type Session struct {
	cfg    *Config
	raw    net.Conn // below TLS
	conn   *packetConn
	pinger *pinger
	client *paho.Client
	flight *inflight
	facts  *connectError // to explain how it ends

	inbound inbound

	// Since is when the CONNACK came, TLS what was agreed.
	Since time.Time
	TLS   tls.ConnectionState
	// Answered is called with the reason of each PUBACK of [Session.Publish]. It
	// is set before the first of them.
	Answered func(topic string, code byte)

	// Granted by the CONNACK.
	receiveMaximum int
	maximumPacket  int

	sending sync.Mutex // messages leave in the order of the calls
	writer  sync.WaitGroup

	ctx  context.Context // ends when the connection is given up or lost
	stop context.CancelCauseFunc
}

var _ bridge.Link = (*Session)(nil)

const (
	// statusWindow is how many messages are in flight that are not readings.
	statusWindow = 1
	// StatusRate is the most of those per second; it is kept free of the 100 that
	// AWS takes on a connection.
	StatusRate = 5
)

// partTime is how long the cloud may take to close after our DISCONNECT.
const partTime = time.Second

// ErrSilent is why a connection is given up on which no acknowledgement comes.
var ErrSilent = errors.New("no acknowledgement in time")

func newSession(cfg *Config, raw, conn net.Conn, facts *connectError) *Session {
	s := &Session{cfg: cfg, raw: raw, flight: newInflight(), facts: facts}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	s.flight.ended = func() { s.fail(ErrLost) }
	s.flight.wrong = s.fail
	context.AfterFunc(s.ctx, s.abort)
	s.pinger = &pinger{paho.NewDefaultPinger(), s.fail}
	s.conn = newPacketConn(conn, s.fail, func(id uint16, code byte) {
		s.pinger.PacketReceived()
		s.flight.settle(id, code)
	})
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
func (s *Session) connect(ctx context.Context, packet *paho.Connect) error {
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
	s.Since = time.Now()
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
	s.writer.Go(func() { s.conn.writing(s.ctx) })
	return nil
}

// fail ends the session for a reason; the first one counts. It only marks the
// end, [Session.Close] makes it.
func (s *Session) fail(err error) {
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
func (s *Session) cause() error {
	if s.ctx.Err() == nil {
		return nil
	}
	return context.Cause(s.ctx)
}

// Limits implements [bridge.Link].
func (s *Session) Limits() bridge.Limits {
	limits := bridge.Limits{Window: min(s.cfg.Window, s.receiveMaximum), Bytes: float64(s.cfg.Rate.Bytes),
		Answer: s.cfg.AckTimeout.D()}
	if s.cfg.Rate.Messages > 0 {
		// AWS counts the messages of the status topic, too.
		limits.Messages = min(s.cfg.Rate.Messages, maxMessages-StatusRate)
	}
	return limits
}

// Publish implements [bridge.Link]. A reading that is larger than the cloud takes
// is right, the cloud is not, as AWS takes 146 KiB: it waits for a cloud that
// takes it, and the connection ends.
func (s *Session) Publish(m bridge.Message, done func(error)) {
	topic := m.Topic // so that m need not outlive this call
	s.send(&m, nil, func(code byte, err error) {
		var small *tooSmallError
		if err == nil {
			s.Answered(topic, code)
			err = pubackError(topic, code)
		} else if errors.As(err, &small) {
			s.fail(small)
		}
		done(err)
	})
}

// Send sends a message that is not a reading: done gets its outcome, nil only after a
// PUBACK below 0x80, at the latest when the connection ends. correlation is that
// of the request that it answers, nil for none.
func (s *Session) Send(m *bridge.Message, correlation []byte, done func(error)) {
	s.send(m, correlation, func(code byte, err error) {
		if err == nil {
			err = pubackError(m.Topic, code)
		}
		var small *tooSmallError
		if errors.As(err, &small) {
			err = bridge.Permanent(small)
		}
		done(err)
	})
}

// send sends a message; done gets the PUBACK's reason, or why there is none.
func (s *Session) send(m *bridge.Message, correlation []byte, done func(code byte, err error)) {
	if err := s.fits(m); err != nil {
		done(0, err)
		return
	}
	if !s.flight.acquire() {
		done(0, ErrLost)
		return
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	id, err := s.flight.add(&pending{kind: packets.PUBACK, done: done})
	if err != nil {
		// It is not in flight: nobody else will tell.
		<-s.flight.slots
		done(0, fmt.Errorf("%w: %w", ErrLost, err))
		return
	}
	s.conn.publish(id, m, correlation)
	s.pinger.PacketSent()
}

// fits checks what AWS would answer by closing the connection.
func (s *Session) fits(m *bridge.Message) error {
	if len(m.Payload) > payload.MaxBytes {
		return bridge.Permanent(fmt.Errorf("payload of %d bytes: AWS allows %d", len(m.Payload), payload.MaxBytes))
	}
	if topic := payload.WithoutRule(m.Topic); len(topic) > payload.MaxTopic {
		return bridge.Permanent(fmt.Errorf("topic of %d bytes: AWS allows %d", len(m.Topic), payload.MaxTopic))
	}
	if size := packetSize(m); size > s.maximumPacket {
		return &tooSmallError{size, s.maximumPacket}
	}
	return nil
}

// tooSmallError is of a cloud whose Maximum Packet Size is below a message.
type tooSmallError struct{ need, most int }

func (e *tooSmallError) Error() string {
	return fmt.Sprintf("a packet of %d bytes is needed, the cloud takes %d", e.need, e.most)
}

// Room returns how many bytes of topic, content type and payload one message may
// have on this connection.
func (s *Session) Room() int { return s.maximumPacket - packetSize(&bridge.Message{}) }

// TooSmall ends a connection on which nothing can be sent that has need bytes.
func (s *Session) TooSmall(need int) {
	s.fail(&tooSmallError{need + packetSize(&bridge.Message{}), s.maximumPacket})
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
		return bridge.RefuseTopic(fmt.Errorf("publish to %s: PUBACK 0x87, the policy of the certificate does not allow it",
			topic))
	case packets.PubackQuotaExceeded:
		return fmt.Errorf("publish to %s: PUBACK 0x97, over a quota", topic)
	}
	return fmt.Errorf("publish to %s: PUBACK 0x%02X", topic, code)
}

// Watch gives the session up when a message waits for its acknowledgement too
// long: the connection may be half open, or the cloud may have dropped the
// message, whose place in the window would be lost for ever.
func (s *Session) Watch() {
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
			s.fail(ErrSilent)
		default:
			timer.Reset(limit - age)
		}
	}
}

// Close ends the connection and returns when nothing of it is left: nil if it was
// up, or why it had ended, for [Explain]. Messages in flight get their outcome
// before. A connection that still works is ended with a DISCONNECT, so that the
// cloud does not publish the last will.
func (s *Session) Close() error {
	cause := s.cause()
	if cause == nil {
		s.part()
		s.stop(nil)
	}
	s.abort()
	<-s.client.Done()
	s.writer.Wait()
	if cause == nil {
		return nil
	}
	s.facts.err = cause
	return s.facts
}

// Context ends when the connection is given up or lost.
func (s *Session) Context() context.Context { return s.ctx }

// GiveUp implements [bridge.Link]: it ends a connection whose messages are not
// acknowledged in time.
func (s *Session) GiveUp() { s.fail(ErrSilent) }

// Acknowledged returns how many messages the cloud has accepted.
func (s *Session) Acknowledged() uint64 { return s.flight.acknowledged() }

// ReceiveMaximum is how many messages the cloud lets be in flight.
func (s *Session) ReceiveMaximum() int { return s.receiveMaximum }

// Own returns our certificate.
func (s *Session) Own() *x509.Certificate { return s.facts.own }

// part sends the DISCONNECT and lets the cloud close the connection. Who closes
// while something is on its way from the other side resets the connection, and
// with it what the other side has not read yet: the DISCONNECT.
func (s *Session) part() {
	// Do not wait for ever for a peer that has gone.
	timer := time.AfterFunc(partTime, func() { _ = s.raw.Close() })
	defer timer.Stop()
	d := &paho.Disconnect{ReasonCode: packets.DisconnectNormalDisconnection}
	if _, err := d.Packet().WriteTo(s.conn); err == nil {
		<-s.client.Done() // its reader has seen the end
	}
}

// abort breaks the connection and gives everything in flight its outcome.
func (s *Session) abort() {
	_ = s.raw.Close()
	_ = s.flight.ConnectionLost(nil)
}
