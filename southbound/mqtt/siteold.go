package mqtt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	mochi "github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/southbound/mqtt/inlet"
)

// oldClient is a [siteClient] that speaks MQTT 3.1.1, which paho does not: for
// brokers that know nothing newer.
type oldClient struct {
	nc      *siteConn
	session *siteSession
	ingest  inlet.Ingest
	site    *site

	live  context.Context     // ends with the connection, at the latest
	taken map[uint16]struct{} // of the reading goroutine; QoS 2 messages that the broker has not released

	mu      sync.Mutex
	next    uint16                   // guarded by mu; packet id
	waiting map[uint16]chan<- []byte // guarded by mu; for the answer to SUBSCRIBE and UNSUBSCRIBE
}

// errSilent is the end of a connection on which the broker said nothing.
var errSilent = errors.New("the broker closes the connection without an answer")

// connectOld is as connect, with MQTT 3.1.1.
func (s *site) connectOld(ctx context.Context, ingest inlet.Ingest) error {
	nc, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	resumed, err := s.greetOld(nc)
	if !stop() || err != nil {
		return err
	}
	s.speaksOld()
	ended := make(chan error, 4)
	end := func(err error) {
		select {
		case ended <- err:
		default:
		}
	}
	session := newSiteSession(end, &s.refused)
	live, lost := context.WithCancel(ctx)
	c := &oldClient{nc: nc, session: session, ingest: ingest, site: s, live: live, waiting: make(map[uint16]chan<- []byte), taken: make(map[uint16]struct{})}
	session.answer = c.acknowledge
	s.mu.Lock()
	s.now = session
	s.mu.Unlock()
	ceased := make(chan struct{})
	var helpers sync.WaitGroup
	helpers.Go(func() { end(c.read()); close(ceased); lost() })
	helpers.Go(func() { session.run(ceased) })
	helpers.Go(func() { c.ping(live) })
	err = s.serve(live, c, resumed, ended)
	if ctx.Err() != nil {
		inlet.Grace(session.unacknowledged) // or the broker would send them again
		_ = c.send(mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Disconnect}}, (*mochi.Packet).DisconnectEncode)
	} else if live.Err() != nil {
		err = why(ended)
	}
	lost()
	_ = nc.Close()
	helpers.Wait()
	return err
}

// greetOld sends CONNECT and reads CONNACK (MQTT 3.1.1, sections 3.1 and 3.2).
func (s *site) greetOld(nc *siteConn) (resumed bool, err error) {
	what := fmt.Sprintf("connect to %s as %s", s.config.URL, s.id)
	connect := mochi.Packet{ProtocolVersion: 4, FixedHeader: mochi.FixedHeader{Type: mochi.Connect},
		Connect: mochi.ConnectParams{ProtocolName: []byte("MQTT"), ClientIdentifier: s.id, Keepalive: siteKeepAlive}}
	if s.config.Username != "" {
		connect.Connect.UsernameFlag, connect.Connect.Username = true, []byte(s.config.Username)
		if password, err := inlet.ReadPassword(s.config.PasswordFile); s.config.PasswordFile != "" && err == nil {
			connect.Connect.PasswordFlag, connect.Connect.Password = true, password
		}
	}
	_ = nc.SetDeadline(time.Now().Add(siteTimeout))
	if err := nc.writePacket(connect, (*mochi.Packet).ConnectEncode); err != nil {
		return false, fmt.Errorf("%s: %w (%w)", what, errSilent, err) // it was closed before
	}
	kind, body, err := nc.readPacket()
	if err != nil {
		return false, fmt.Errorf("%s: %w (%w)", what, errSilent, err)
	}
	_ = nc.SetDeadline(time.Time{})
	if kind != 0x20 || len(body) != 2 {
		return false, fmt.Errorf("%s: %w: it speaks no MQTT", what, errSilent)
	}
	if err := s.oldRefusal(body[1]); err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	return body[0]&1 != 0, nil
}

// oldRefusal explains a return code of CONNACK.
func (s *site) oldRefusal(code byte) error {
	switch code {
	case 0:
		return nil
	case 1:
		return errors.New("the broker speaks neither MQTT 5 nor 3.1.1: update it, or let it bridge to a broker with listen")
	case 2:
		return errors.New("the broker does not accept this client id: change client_id")
	case 4:
		return errors.New("bad user name or password: check username and password_file" + s.passwordHint())
	case 5:
		return errors.New("not authorized: check username and password_file, or the broker's access rules" + s.passwordHint())
	}
	return fmt.Errorf("refused with code %d", code)
}

// writePacket writes one packet. It is safe for concurrent use.
func (c *siteConn) writePacket(p mochi.Packet, encode func(*mochi.Packet, *bytes.Buffer) error) error {
	p.ProtocolVersion = 4
	var b bytes.Buffer
	if err := encode(&p, &b); err != nil {
		return err
	}
	c.Lock()
	defer c.Unlock()
	_, err := c.Write(b.Bytes())
	return err
}

// readPacket reads one packet.
func (c *siteConn) readPacket() (kind byte, body []byte, err error) {
	if kind, err = c.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	length, err := binary.ReadUvarint(c.in)
	if err != nil {
		return 0, nil, err
	}
	if length > siteMaxMessage {
		return 0, nil, fmt.Errorf("the broker sends a packet of %d bytes, more than %d", length, siteMaxMessage)
	}
	body = make([]byte, length)
	_, err = io.ReadFull(c.in, body)
	return kind, body, err
}

func (c *oldClient) send(p mochi.Packet, encode func(*mochi.Packet, *bytes.Buffer) error) error {
	_ = c.nc.SetWriteDeadline(time.Now().Add(siteTimeout))
	return c.nc.writePacket(p, encode)
}

// acknowledge answers a message that is safe.
func (c *oldClient) acknowledge(id uint16, qos byte) error {
	if qos == 2 {
		return c.send(mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Pubrec}, PacketID: id}, (*mochi.Packet).PubrecEncode)
	}
	return c.send(mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Puback}, PacketID: id}, (*mochi.Packet).PubackEncode)
}

// ping keeps the connection alive until ctx ends.
func (c *oldClient) ping(ctx context.Context) {
	tick := time.NewTicker(siteKeepAlive * time.Second / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := c.send(mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Pingreq}}, (*mochi.Packet).PingreqEncode); err != nil {
			c.session.fail(fmt.Errorf("ping: %w", err))
			return
		}
	}
}

// read takes what the broker sends until the connection ends.
func (c *oldClient) read() error {
	for {
		// A ping is answered twice in that time.
		_ = c.nc.SetReadDeadline(time.Now().Add(siteKeepAlive * time.Second * 3 / 2))
		kind, body, err := c.nc.readPacket()
		if err == nil {
			err = c.handle(kind, body)
		}
		if err != nil {
			return err
		}
	}
}

var errOldPacket = errors.New("the broker sends what is no MQTT 3.1.1")

func (c *oldClient) handle(kind byte, body []byte) error {
	switch kind & 0xf0 {
	case publish:
		return c.heard(kind, body)
	case 0x60, 0x90, 0xb0: // PUBREL, SUBACK, UNSUBACK
		if len(body) < 2 {
			return errOldPacket
		}
		id := binary.BigEndian.Uint16(body)
		if kind&0xf0 == 0x60 {
			delete(c.taken, id)
			return c.send(mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Pubcomp}, PacketID: id}, (*mochi.Packet).PubcompEncode)
		}
		c.mu.Lock()
		answer := c.waiting[id]
		delete(c.waiting, id)
		c.mu.Unlock()
		if answer != nil {
			answer <- body[2:]
		}
		return nil
	case 0xd0: // PINGRESP
		return nil
	}
	return errOldPacket
}

// heard takes a PUBLISH (MQTT 3.1.1, section 3.3). There is no Receive Maximum:
// when too many messages wait, nothing more is read.
func (c *oldClient) heard(kind byte, body []byte) error {
	p := mochi.Packet{ProtocolVersion: 4}
	if err := p.FixedHeader.Decode(kind); err != nil {
		return err
	}
	if err := p.PublishDecode(body); err != nil {
		return err
	}
	c.site.messages.Add(1)
	var safe func(error)
	if p.FixedHeader.Qos == 2 {
		if _, again := c.taken[p.PacketID]; again {
			return nil // its PUBREC is on the way
		}
		c.taken[p.PacketID] = struct{}{}
	}
	if p.FixedHeader.Qos > 0 {
		if !c.session.awaitRoom(siteInFlight, c.live.Done()) {
			return errLost
		}
		safe = c.session.expectID(p.PacketID, p.FixedHeader.Qos)
	}
	c.ingest(inlet.Message{Topic: p.TopicName, Payload: p.Payload, At: time.Now()}, safe)
	return nil
}

// ask sends a packet with an id and returns the rest of the answer.
func (c *oldClient) ask(ctx context.Context, p mochi.Packet, encode func(*mochi.Packet, *bytes.Buffer) error) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, siteTimeout)
	defer cancel()
	answer := make(chan []byte, 1)
	c.mu.Lock()
	c.next = c.next%65535 + 1
	p.PacketID = c.next
	c.waiting[p.PacketID] = answer
	c.mu.Unlock()
	p.FixedHeader.Qos = 1
	if err := c.send(p, encode); err != nil {
		return nil, err
	}
	select {
	case body := <-answer:
		return body, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer: %w", ctx.Err())
	}
}

func (c *oldClient) subscribe(ctx context.Context, subs []subscription) ([]byte, error) {
	p := mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Subscribe}}
	for _, s := range subs {
		p.Filters = append(p.Filters, mochi.Subscription{Filter: s.filter, Qos: s.qos})
	}
	return c.ask(ctx, p, (*mochi.Packet).SubscribeEncode)
}

func (c *oldClient) unsubscribe(ctx context.Context, filter string) error {
	p := mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Unsubscribe}, Filters: mochi.Subscriptions{{Filter: filter}}}
	_, err := c.ask(ctx, p, (*mochi.Packet).UnsubscribeEncode)
	return err
}

func (c *oldClient) publish(_ context.Context, topic string, payload []byte) error {
	return c.send(mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Publish}, TopicName: topic, Payload: payload}, (*mochi.Packet).PublishEncode)
}

// resubscribes is false: MQTT 3.1.1 sends retained messages each time.
func (c *oldClient) resubscribes() bool { return false }
