//go:build linux

package crashtest

import (
	"crypto/tls"
	"net"
	"path/filepath"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"fieldbridge/northbound/awsiot/awsiottest"
)

// toMessage answers each QoS 1 message of a connection.
func toMessage(answer func(w *wildConn, p *packets.Publish)) func(*wildConn) func(*packets.ControlPacket) bool {
	return func(w *wildConn) func(*packets.ControlPacket) bool {
		return func(p *packets.ControlPacket) bool {
			m, ok := p.Content.(*packets.Publish)
			if ok && m.QoS > 0 {
				answer(w, m)
			}
			return ok && m.QoS > 0
		}
	}
}

// withPUBACK refuses each message.
func withPUBACK(code byte) func(*wildConn) func(*packets.ControlPacket) bool {
	return toMessage(func(w *wildConn, p *packets.Publish) { _ = w.puback(p.PacketID, code) })
}

// withKind answers each message with a packet of another kind that has its id.
func withKind(kind byte, more ...byte) func(*wildConn) func(*packets.ControlPacket) bool {
	return toMessage(func(w *wildConn, p *packets.Publish) {
		_ = w.send(kind, append([]byte{byte(p.PacketID >> 8), byte(p.PacketID), 0}, more...)...)
	})
}

// withBytes answers each message with these.
func withBytes(b ...byte) func(*wildConn) func(*packets.ControlPacket) bool {
	return toMessage(func(w *wildConn, _ *packets.Publish) { _, _ = w.Write(b) })
}

// toCONNECT answers the CONNECT.
func toCONNECT(answer func(w *wildConn)) func(*wildConn) func(*packets.ControlPacket) bool {
	return func(w *wildConn) func(*packets.ControlPacket) bool {
		return func(p *packets.ControlPacket) bool {
			if p.Type == packets.CONNECT {
				answer(w)
			}
			return p.Type == packets.CONNECT
		}
	}
}

// refusing answers the CONNECT with a reason.
func refusing(code byte) func(*wildConn) func(*packets.ControlPacket) bool {
	return toCONNECT(func(w *wildConn) { _ = w.connack(code, nil); _ = w.Close() })
}

// leaving says DISCONNECT with a reason at the first message.
func leaving(code byte) func(*wildConn) func(*packets.ControlPacket) bool {
	return toMessage(func(w *wildConn, _ *packets.Publish) { _ = w.send(packets.DISCONNECT, code, 0); _ = w.Close() })
}

// granting answers the CONNECT with properties.
func granting(p packets.Properties) func(*wildConn) func(*packets.ControlPacket) bool {
	return toCONNECT(func(w *wildConn) { _ = w.connack(0, &p) })
}

// with makes a server's certificate of other terms.
func with(authority string, terms awsiottest.Terms) func(*wildCloud) *tls.Config {
	return func(c *wildCloud) *tls.Config {
		config := c.tls.Clone()
		ca, err := awsiottest.NewAuthority(filepath.Join(c.rig.dir, "ca"), authority)
		if err != nil {
			c.rig.t.Error(err)
			return config
		}
		id, err := ca.Issue("wrong", terms)
		if err != nil {
			c.rig.t.Error(err)
			return config
		}
		pair, err := tls.LoadX509KeyPair(id.Certificate, id.PrivateKey)
		if err != nil {
			c.rig.t.Error(err)
		}
		config.Certificates = []tls.Certificate{pair}
		return config
	}
}

func ptr[T any](v T) *T { return &v }

// manners are the ways to misbehave.
var manners = []manner{
	{name: "acknowledges out of order", swallows: true, connection: backwards},
	{name: "acknowledges twice", connection: toMessage(func(w *wildConn, p *packets.Publish) {
		w.take(p)
		_ = w.puback(p.PacketID, 0)
		_ = w.puback(p.PacketID, 0)
	})},
	{name: "acknowledges unknown ids", swallows: true,
		connection: toMessage(func(w *wildConn, p *packets.Publish) { _ = w.puback(p.PacketID+20_000, 0) })},
	{name: "dribbles its acknowledgements", connection: toMessage(dribble)},
	{name: "acknowledges nothing", swallows: true, connection: toMessage(func(*wildConn, *packets.Publish) {})},
	{name: "acknowledges every other message", swallows: true, connection: everyOther},
	{name: "acknowledges late", swallows: true, connection: toMessage(late)},
	{name: "PUBACK 0x97", connection: withPUBACK(0x97)},
	{name: "PUBACK 0x87", connection: withPUBACK(0x87)},
	{name: "PUBACK 0x83", connection: withPUBACK(0x83)},
	{name: "PUBACK 0x80", connection: withPUBACK(0x80)},
	{name: "SUBACK for a message", connection: withKind(packets.SUBACK, 0)},
	{name: "UNSUBACK for a message", connection: withKind(packets.UNSUBACK, 0)},
	{name: "PUBREC for a message", connection: withKind(packets.PUBREC)},
	{name: "PUBCOMP for a message", connection: withKind(packets.PUBCOMP)},
	{name: "garbage", connection: withBytes(0, 0xff, 0x13, 0x37, 0, 0, 1)},
	{name: "a reserved type", connection: withBytes(0, 0)},
	{name: "a packet of 268 MB", connection: withBytes(packets.PUBLISH<<4, 0xff, 0xff, 0xff, 0x7f)},
	{name: "a length without end", connection: withBytes(packets.PUBLISH<<4, 0xff, 0xff, 0xff, 0xff, 0xff, 1)},
	{name: "a PUBACK with wrong properties", connection: toMessage(func(w *wildConn, p *packets.Publish) {
		_ = w.send(packets.PUBACK, byte(p.PacketID>>8), byte(p.PacketID), 0, 100, 1)
	})},
	{name: "cut within a packet", connection: toMessage(func(w *wildConn, _ *packets.Publish) {
		_, _ = w.Write([]byte{packets.PUBACK << 4, 10, 0})
		_ = w.Close()
	})},
	{name: "closes at each message", connection: toMessage(func(w *wildConn, _ *packets.Publish) { _ = w.Close() })},
	{name: "resets at each message", connection: toMessage(func(w *wildConn, _ *packets.Publish) { reset(w) })},
	{name: "a second CONNACK", connection: toMessage(func(w *wildConn, _ *packets.Publish) { _ = w.connack(0, nil) })},
	{name: "sends a SUBSCRIBE", connection: withBytes(packets.SUBSCRIBE<<4|2, 7, 0, 9, 0, 0, 1, 'a', 1)},
	{name: "DISCONNECT 0x8B, shutting down", connection: leaving(0x8b)},
	{name: "DISCONNECT 0x81, malformed", connection: leaving(0x81)},
	{name: "DISCONNECT 0x97, quota", connection: leaving(0x97)},
	{name: "CONNACK 0x88, unavailable", connection: refusing(0x88)},
	{name: "CONNACK 0x87, not authorized", connection: refusing(0x87)},
	{name: "CONNACK 0x85, client id", connection: refusing(0x85)},
	{name: "no CONNACK", swallows: true, connection: toCONNECT(func(*wildConn) {})},
	{name: "a late CONNACK", swallows: true,
		connection: toCONNECT(func(w *wildConn) { time.Sleep(wait); _ = w.connack(0, nil) })},
	{name: "noise for a CONNACK", swallows: true,
		connection: toCONNECT(func(w *wildConn) { _, _ = w.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n")) })},
	{name: "a CONNACK of 268 MB", connection: toCONNECT(func(w *wildConn) {
		_, _ = w.Write([]byte{packets.CONNACK << 4, 0xff, 0xff, 0xff, 0x7f, 0})
	})},
	{name: "takes packets of 32 bytes", connection: granting(packets.Properties{MaximumPacketSize: ptr(uint32(32))})},
	{name: "takes packets of 200 bytes", connection: granting(packets.Properties{MaximumPacketSize: ptr(uint32(200))})},
	{name: "takes one message at a time", connection: granting(packets.Properties{ReceiveMaximum: ptr(uint16(1))})},
	{name: "refuses each subscription", connection: refuseSubscriptions},
	{name: "answers no ping", connection: func(*wildConn) func(*packets.ControlPacket) bool {
		return func(p *packets.ControlPacket) bool { return p.Type == packets.PINGREQ }
	}},
	{name: "stops reading", swallows: true, connection: func(*wildConn) func(*packets.ControlPacket) bool {
		return func(*packets.ControlPacket) bool { time.Sleep(wait); return true }
	}},
	{name: "floods with commands", connection: toMessage(flood)},
	{name: "nothing listens", closed: true},
	{name: "no TLS", accepts: func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }},
	{name: "no handshake", swallows: true, accepts: func(c net.Conn) {
		_ = c.SetReadDeadline(time.Now().Add(wait))
		hang(c)
	}},
	{name: "closes at once", accepts: func(net.Conn) {}},
	{name: "a certificate of another authority",
		config: with("other", awsiottest.Terms{Hosts: []string{"localhost"}})},
	{name: "a certificate of another name", config: with("ca", awsiottest.Terms{Hosts: []string{"example.org"}})},
	{name: "an expired certificate",
		config: with("ca", awsiottest.Terms{Hosts: []string{"localhost"}, NotAfter: time.Now().Add(-time.Minute)})},
	{name: "TLS 1.0", config: func(c *wildCloud) *tls.Config {
		config := c.tls.Clone()
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
		return config
	}},
}

// backwards acknowledges each pair of messages in the wrong order.
func backwards(w *wildConn) func(*packets.ControlPacket) bool {
	var held *packets.Publish
	return toMessage(func(w *wildConn, p *packets.Publish) {
		if held == nil {
			held = p
			return
		}
		w.take(p)
		w.take(held)
		_ = w.puback(p.PacketID, 0)
		_ = w.puback(held.PacketID, 0)
		held = nil
	})(w)
}

func everyOther(w *wildConn) func(*packets.ControlPacket) bool {
	n := 0
	return toMessage(func(w *wildConn, p *packets.Publish) {
		if n++; n%2 == 0 {
			w.take(p)
			_ = w.puback(p.PacketID, 0)
		}
	})(w)
}

// dribble acknowledges byte by byte.
func dribble(w *wildConn, p *packets.Publish) {
	w.take(p)
	for _, b := range []byte{packets.PUBACK << 4, 3, byte(p.PacketID >> 8), byte(p.PacketID), 0} {
		_, _ = w.Write([]byte{b})
		time.Sleep(30 * time.Millisecond) // between two bytes
	}
}

// late acknowledges after ack_timeout.
func late(w *wildConn, p *packets.Publish) {
	w.take(p)
	time.Sleep(wait)
	_ = w.puback(p.PacketID, 0)
}

func reset(w *wildConn) {
	if c, ok := w.Conn.(*tls.Conn).NetConn().(*net.TCPConn); ok {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}

func refuseSubscriptions(w *wildConn) func(*packets.ControlPacket) bool {
	return func(p *packets.ControlPacket) bool {
		s, ok := p.Content.(*packets.Subscribe)
		if ok {
			body := []byte{byte(s.PacketID >> 8), byte(s.PacketID), 0}
			for range s.Subscriptions {
				body = append(body, 0x87)
			}
			_ = w.send(packets.SUBACK, body...)
		}
		return ok
	}
}

// flood sends many messages that nobody has asked for, and acknowledges.
func flood(w *wildConn, p *packets.Publish) {
	topic := "$aws/commands/things/gateway-1/executions/x/request/json"
	packet := append([]byte{packets.PUBLISH << 4, byte(2 + len(topic) + 1 + 2), 0, byte(len(topic))}, topic...)
	packet = append(packet, 0, '{', '}')
	for range 100 {
		if _, err := w.Write(packet); err != nil {
			return
		}
	}
	w.take(p)
	_ = w.puback(p.PacketID, 0)
}
