package identity

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"fieldbridge/northbound/awsiot/uplink"
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
	s.fact("client id", "%s", c.report.Client)
	s.fact("last will", "to %s", c.o.StatusTopic)
	start := time.Now()
	c.connected = start
	answer, err := c.exchange(ctx, h, c.packet(true))
	elapsed := time.Since(start)
	if err != nil {
		c.failConnect(s, err)
		return
	}
	switch p := answer.Content.(type) { // receive lets no others through
	case *packets.Connack:
		s.fact("connack", "0x%02X in %s", p.ReasonCode, took(elapsed))
		s.fact("server says", "%s", p.Properties.ReasonString)
		if p.ReasonCode >= 0x80 {
			c.failConnect(s, uplink.Refused(p.ReasonCode, p.Properties.ReasonString))
			c.refused = p.ReasonCode
			return
		}
		c.tellGrants(s, p)
		how, err := c.disconnect(ctx, h)
		if err != nil {
			s.warn(fmt.Sprintf("DISCONNECT could not be sent: %v", err), "check again in a minute")
		}
		s.fact("disconnect", "%s", how)
	case *packets.Disconnect:
		s.fact("server says", "%s", p.Properties.ReasonString)
		c.failConnect(s, uplink.Disconnected(p.ReasonCode, p.Properties.ReasonString))
	}
}

// exchange sends a CONNECT and reads the answer.
func (c *check) exchange(
	ctx context.Context, h *handshake, packet *packets.ControlPacket,
) (*packets.ControlPacket, error) {
	deadline, _ := ctx.Deadline()
	defer h.until(ctx, deadline)()
	if err := send(h, packet); err != nil {
		return nil, cmp.Or(ctx.Err(), err)
	}
	answer, err := receive(h.reader)
	if err != nil {
		return nil, cmp.Or(ctx.Err(), err)
	}
	return answer, nil
}

// packet returns the session's CONNECT. A policy that does not allow the last
// will refuses all of it, so a will is there; a clean DISCONNECT takes it back.
func (c *check) packet(will bool) *packets.ControlPacket {
	cp := packets.NewControlPacket(packets.CONNECT)
	p := cp.Content.(*packets.Connect)
	p.ClientID, p.CleanStart = c.report.Client, true
	p.KeepAlive = uint16(c.o.Config.KeepAlive.D() / time.Second)
	problems := byte(1)
	p.Properties.RequestProblemInfo = &problems
	if will {
		p.WillFlag, p.WillQOS, p.WillProperties = true, 1, &packets.Properties{}
		p.WillTopic, p.WillMessage = c.o.StatusTopic, c.will()
	}
	return cp
}

// will is what the cloud says if the check is cut off after CONNECT: the gateway
// is offline, which is true, since it does not run. Its connection number is
// below those of all sessions, so it never outdoes a birth.
func (c *check) will() []byte {
	data, err := json.Marshal(struct {
		V          int    `json:"v"`
		Gateway    string `json:"gateway"`
		Run        string `json:"run"`
		Type       string `json:"type"`
		At         int64  `json:"at"`
		Connection uint64 `json:"connection"`
		Reason     string `json:"reason"`
	}{1, c.o.Gateway, "check", "offline", c.now.UnixMilli(), 0, "check"})
	if err != nil {
		panic(err) // strings and numbers
	}
	return data
}

// notAuthorized is the CONNACK of a client that a policy does not let in, and
// what AWS means by it is not only the client id.
const notAuthorized = 0x87

// secondConnect is the pause between two CONNECTs of one client id, of which AWS
// takes one per second.
const secondConnect = 1100 * time.Millisecond

// again finds out which part of a refused CONNECT was not allowed: it connects
// once more, without the last will.
func (c *check) again(ctx context.Context) {
	if c.refused != notAuthorized {
		return
	}
	s := c.step(Connect)
	select {
	case <-time.After(time.Until(c.connected.Add(secondConnect))):
	case <-ctx.Done():
		return
	}
	code, err := c.withoutWill(ctx)
	switch {
	case err != nil:
		s.fact("without will", "cannot be told: %v", err)
	case code < 0x80:
		s.fact("without will", "0x%02X", code)
		topic := c.o.StatusTopic
		s.fail(fmt.Sprintf("the policy of our certificate lets us connect, but not with a last will to %s (0x87)", topic),
			"allow iot:Publish on topic/"+topic)
	default:
		s.fact("without will", "0x%02X, too", code)
		s.fail(fmt.Sprintf("the policy of our certificate does not let us connect as %s (0x87)", c.report.Client),
			c.allowConnect())
	}
}

// allowConnect says what a policy must allow.
func (c *check) allowConnect() string {
	fix := "attach a policy to the certificate that allows iot:Connect on client/" + c.report.Client
	if c.o.Gateway == c.report.Client {
		return fix + "; if it names thing variables, also attach the certificate to the thing " + c.o.Gateway
	}
	return "remove northbound.awsiot.client_id if the thing is called " + c.o.Gateway + ", or " + fix +
		"; thing variables in it do not work, since the client id is not the thing name"
}

// withoutWill makes another connection and returns the reason of its CONNACK.
func (c *check) withoutWill(ctx context.Context) (byte, error) {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	dial, _, err := c.dialer()
	if err != nil {
		return 0, err
	}
	conn, err := dial(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	h := newHandshake(conn, c.config, c.pair)
	if h.run(ctx); h.err != nil {
		return 0, h.err
	}
	answer, err := c.exchange(ctx, h, c.packet(false))
	if err != nil {
		return 0, err
	}
	ack, ok := answer.Content.(*packets.Connack)
	if !ok {
		return 0, errNotMQTT
	}
	if ack.ReasonCode < 0x80 {
		_, err = c.disconnect(ctx, h)
	}
	return ack.ReasonCode, err
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
		s.warn(fmt.Sprintf("the server takes %d messages in flight, northbound.awsiot.window is %d", *p.ReceiveMaximum,
			c.o.Config.Window), "the gateway keeps to the server's: make window smaller")
	}
	if p.MaximumQOS != nil && *p.MaximumQOS == 0 {
		s.warn("the server acknowledges no messages (maximum QoS 0): nothing can be delivered",
			"is this an AWS data endpoint?")
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
func (c *check) disconnect(ctx context.Context, h *handshake) (how string, err error) {
	start := time.Now()
	defer h.until(ctx, start.Add(goodbye))()
	if err := send(h, packets.NewControlPacket(packets.DISCONNECT)); err != nil {
		return "", err
	}
	_ = h.conn.CloseWrite()
	if _, err := io.Copy(io.Discard, h.reader); err != nil {
		return fmt.Sprintf("sent; the server has not closed after %s", took(time.Since(start))), nil
	}
	return fmt.Sprintf("sent; the server closed after %s", took(time.Since(start))), nil
}

// failConnect tells why MQTT does not work.
func (c *check) failConnect(s *Step, err error) {
	if errors.Is(err, errNotMQTT) {
		s.fail(c.o.Config.Endpoint+" speaks TLS, but not MQTT 5", "is this an AWS data endpoint, and the port right?")
		return
	}
	c.failure(s, uplink.AtConnect, err)
}
