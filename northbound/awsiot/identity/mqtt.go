package identity

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"fieldbridge/northbound/awsiot"
)

// maxAnswer is the most bytes of an answer to CONNECT.
const maxAnswer = 64 << 10

// goodbye is how long to wait for the server to close after DISCONNECT.
const goodbye = time.Second

var errNotMQTT = errors.New("the answer to CONNECT is not MQTT 5")

// connect sends CONNECT, reads the CONNACK, and disconnects.
func (c *check) connect(ctx context.Context, h *handshake) {
	s := c.step(Connect)
	s.reached()
	deadline, _ := ctx.Deadline()
	stop := h.until(ctx, deadline)
	defer stop()
	s.fact("client id", "%s", c.report.Client)
	start := time.Now()
	if err := send(h, c.packet()); err != nil {
		c.failConnect(s, err)
		return
	}
	answer, err := receive(h.reader)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		c.failConnect(s, err)
		return
	}
	elapsed := time.Since(start)
	switch p := answer.Content.(type) { // receive lets no others through
	case *packets.Connack:
		s.fact("connack", "0x%02X in %s", p.ReasonCode, took(elapsed))
		s.fact("server says", "%s", p.Properties.ReasonString)
		if p.ReasonCode >= 0x80 {
			c.failConnect(s, awsiot.Refused(p.ReasonCode, p.Properties.ReasonString))
			return
		}
		c.tellGrants(s, p)
		c.disconnect(s, h)
	case *packets.Disconnect:
		s.fact("server says", "%s", p.Properties.ReasonString)
		c.failConnect(s, awsiot.Disconnected(p.ReasonCode, p.Properties.ReasonString))
	}
}

// packet returns the session's CONNECT without its last will: if the check
// breaks off, nobody shall hear that the gateway is lost.
func (c *check) packet() *packets.ControlPacket {
	cp := packets.NewControlPacket(packets.CONNECT)
	p := cp.Content.(*packets.Connect)
	p.ClientID, p.CleanStart = c.report.Client, true
	p.KeepAlive = uint16(c.o.Config.KeepAlive.D() / time.Second)
	problems := byte(1)
	p.Properties.RequestProblemInfo = &problems
	return cp
}

// send writes a packet in one piece.
func send(h *handshake, packet *packets.ControlPacket) error {
	var b bytes.Buffer
	if _, err := packet.WriteTo(&b); err != nil {
		return err
	}
	_, err := h.conn.Write(b.Bytes())
	return err
}

// receive reads the answer to a CONNECT. The library would make room for any
// length that is announced.
func receive(r *bufio.Reader) (*packets.ControlPacket, error) {
	kind, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	if kind != packets.CONNACK<<4 && kind != packets.DISCONNECT<<4 {
		return nil, errNotMQTT
	}
	size, err := binary.ReadUvarint(r) // MQTT's variable byte integer is one
	if err != nil {
		return nil, err
	}
	if size > maxAnswer {
		return nil, errNotMQTT
	}
	packet := binary.AppendUvarint([]byte{kind}, size)
	header := len(packet)
	packet = append(packet, make([]byte, size)...)
	if _, err := io.ReadFull(r, packet[header:]); err != nil {
		return nil, err
	}
	cp, err := packets.ReadPacket(bytes.NewReader(packet))
	if err != nil {
		return nil, errNotMQTT
	}
	return cp, nil
}

// tellGrants notes what the CONNACK grants.
func (c *check) tellGrants(s *Step, ack *packets.Connack) {
	p := ack.Properties
	if ack.SessionPresent {
		s.fact("session", "present, though we asked for a clean start")
	}
	optional(s, "receive maximum", p.ReceiveMaximum)
	optional(s, "maximum packet", p.MaximumPacketSize)
	optional(s, "maximum qos", p.MaximumQOS)
	optional(s, "topic aliases", p.TopicAliasMaximum)
	optional(s, "session expiry", p.SessionExpiryInterval)
	s.fact("assigned client id", "%s", p.AssignedClientID)
	asked := int(c.o.Config.KeepAlive.D() / time.Second)
	if p.ServerKeepAlive == nil {
		s.fact("keep alive", "%d s, as asked", asked)
	} else {
		s.fact("keep alive", "%d s, we asked for %d s", *p.ServerKeepAlive, asked)
	}
	if p.ReceiveMaximum != nil && int(*p.ReceiveMaximum) < c.o.Config.Window {
		s.warn(fmt.Sprintf("the server takes %d messages in flight, northbound.awsiot.window is %d", *p.ReceiveMaximum, c.o.Config.Window), "the gateway keeps to the server's: make window smaller")
	}
	if p.MaximumQOS != nil && *p.MaximumQOS == 0 {
		s.warn("the server acknowledges no messages (maximum QoS 0): nothing can be delivered", "is this an AWS data endpoint?")
	}
}

// optional notes a number that a CONNACK may have.
func optional[T byte | uint16 | uint32](s *Step, key string, value *T) {
	if value != nil {
		s.fact(key, "%d", *value)
	}
}

// disconnect ends the MQTT session on purpose and waits for the server to close,
// so that it has surely read it.
func (c *check) disconnect(s *Step, h *handshake) {
	cp := packets.NewControlPacket(packets.DISCONNECT)
	if err := send(h, cp); err != nil {
		s.warn(fmt.Sprintf("DISCONNECT could not be sent: %v", err), "check again in a minute")
		return
	}
	_ = h.conn.CloseWrite()
	start := time.Now()
	_ = h.conn.SetReadDeadline(start.Add(goodbye))
	if _, err := io.Copy(io.Discard, h.reader); err != nil {
		s.fact("disconnect", "sent; the server has not closed after %s", took(time.Since(start)))
		return
	}
	s.fact("disconnect", "sent; the server closed after %s", took(time.Since(start)))
}

// failConnect tells why MQTT does not work.
func (c *check) failConnect(s *Step, err error) {
	if errors.Is(err, errNotMQTT) {
		s.fail(c.o.Config.Endpoint+" speaks TLS, but not MQTT 5", "is this an AWS data endpoint, and the port right?")
		return
	}
	c.failure(s, awsiot.AtConnect, err)
}
