package mqtt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/payload"
)

// FuzzStream checks that the broker gets every byte that a client sends until
// the client has been let in, however it comes and is read.
func FuzzStream(f *testing.F) {
	f.Add([]byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c\x30\x03\x00\x01t\xc0\x00"), uint8(1), uint8(3))
	f.Add([]byte("\x32\xff\xff\xff\xff\x01"), uint8(2), uint8(200))
	f.Add([]byte("\x32\xff\xff\x02"+strings.Repeat("x", 9000)), uint8(255), uint8(255))
	e, err := newEmbedded("local", inlet.Broker{Listen: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, sent []byte, piece, read uint8) {
		from := &pieceConn{rest: sent, piece: 1 + int(piece)*16}
		c := newConn(from, from, e)
		var got []byte
		b := make([]byte, 1+int(read)*8)
		for {
			n, err := c.Read(b)
			got = append(got, b[:n]...)
			if err != nil {
				break
			}
		}
		// What is left when the connection ends is an unfinished PUBLISH, or less
		// than a packet's header.
		if !bytes.HasPrefix(sent, got) || len(sent)-len(got) > streamBuffer {
			t.Errorf("%d bytes sent, %d came through", len(sent), len(got))
		}
		if rest := sent[len(got):]; len(rest) > 1 && rest[0]&^0x0a != publish {
			if _, n := binary.Uvarint(rest[1:]); n > 0 {
				t.Errorf("not given to the broker: %x", rest)
			}
		}
	})
}

// pieceConn is a connection that says something in pieces, and ends.
type pieceConn struct {
	appendConn
	rest  []byte
	piece int
}

func (p *pieceConn) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(len(p.rest), p.piece)])
	p.rest = p.rest[n:]
	return n, nil
}

// The second message on a topic goes past the broker, in whatever pieces it
// comes, and is treated as the first.
func TestPastTheBroker(t *testing.T) {
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			r := newRecorder()
			s := start(t, embeddedConfig(sensor("all", Sensor{Topic: "j/{device}", Points: payload.AllPoints()})), Options{}, r.emit)
			c := dialRaw(t, address(t, s), version, "c")
			var sent []byte
			out := &rawClient{t: t, version: version}
			const messages = 500
			for i := range messages {
				// Names and texts are of changing length: what points into a buffer
				// that is used again would show.
				name := strings.Repeat(string(rune('a'+i%26)), 1+i%9)
				out.conn = &appendConn{&sent}
				out.publish(2, uint16(i+1), "j/d"+fmt.Sprint(i%7), fmt.Sprintf(`{"%s":"%s%d","n":%d}`, name, strings.Repeat("v", i%50), i, i))
			}
			for n := 1; len(sent) > 0; n = n*5%997 + 1 {
				n = min(n, len(sent))
				if _, err := c.conn.Write(sent[:n]); err != nil {
					t.Fatal(err)
				}
				sent = sent[n:]
			}
			for i := range messages {
				c.expect(puback, uint16(i+1))
			}
			for i, b := range r.wait(t, messages) {
				name := strings.Repeat(string(rune('a'+i%26)), 1+i%9)
				want := []string{fmt.Sprintf("d%d.%s=%s%d", i%7, name, strings.Repeat("v", i%50), i), fmt.Sprintf("d%d.n=%d", i%7, i)}
				if name == "n" {
					want = want[:1]
				}
				same(t, fmt.Sprint("message ", i), values([]bridge.Batch{b}), want)
			}
			same(t, "messages", metric(s, "fieldbridge_mqtt_messages_total"), float64(messages))
		})
	}
}

// appendConn is a connection that only collects.
type appendConn struct{ to *[]byte }

func (a *appendConn) Write(b []byte) (int, error)      { *a.to = append(*a.to, b...); return len(b), nil }
func (*appendConn) Read([]byte) (int, error)           { return 0, io.EOF }
func (*appendConn) Close() error                       { return nil }
func (*appendConn) LocalAddr() net.Addr                { return nil }
func (*appendConn) RemoteAddr() net.Addr               { return nil }
func (*appendConn) SetDeadline(time.Time) error        { return nil }
func (*appendConn) SetReadDeadline(time.Time) error    { return nil }
func (*appendConn) SetWriteDeadline(t time.Time) error { return nil }

// What a message past the broker may not do is the broker's, as for the first
// message.
func TestPastTheBrokerRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		packet string
		answer byte // 0: the connection ends
	}{
		"no packet id":        {"\x32\x0b\x00\x05t/a/p\x00\x00\x001", 0xe0},
		"repeated QoS 0":      {"\x38\x09\x00\x05t/a/p\x001", 0},
		"QoS 3":               {"\x36\x0b\x00\x05t/a/p\x00\x01\x001", 0},
		"truncated":           {"\x32\x07\x00\x05t/a/p", 0xe0},
		"topic too long":      {"\x32\x0b\x00\xf5t/a/p\x00\x01\x001", 0xe0},
		"length of the alias": {"\x30\x0c\x00\x05t/a/p\x03\x23\x00\x111", 0xe0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecorder()
			s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
			raw := dialRaw(t, address(t, s), 5, "c")
			raw.publish(2, 1, "t/a/p", "1")
			raw.publish(2, 2, "t/a/p", "2")
			raw.expect(puback, 1)
			raw.expect(puback, 2)
			_, _ = raw.conn.Write([]byte(c.packet))
			if kind, _, err := raw.tryRead(); err == nil && (kind != c.answer || c.answer == 0) {
				t.Errorf("got packet %#x, want %#x", kind, c.answer)
			}
			if n := len(r.wait(t, 2)); n != 2 {
				t.Errorf("%d readings", n)
			}
		})
	}
}

// Local subscribers get what goes past the broker, each its own copy.
func TestPastTheBrokerForwards(t *testing.T) {
	r := newRecorder()
	s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
	addr := address(t, s)
	sub := dialRaw(t, addr, 4, "sub")
	sub.write(0x82, append(append([]byte{0, 1}, mqttString("t/#")...), 0))
	sub.read()
	c := dialRaw(t, addr, 4, "c")
	const messages = 200
	for i := range messages {
		c.publish(byte(i%2)<<1, uint16(i+1), "t/a/p", fmt.Sprint(i))
	}
	for i := range messages {
		kind, body := sub.read()
		if kind != publish || string(body) != "\x00\x05t/a/p"+fmt.Sprint(i) {
			t.Fatalf("message %d: got %#x %q", i, kind, body)
		}
	}
	r.wait(t, messages)
}

// Messages past the broker keep a client alive.
func TestPastTheBrokerKeepsAlive(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	s := start(t, embeddedConfig(anyReading()), Options{}, r.emit)
	c := openRaw(t, address(t, s), 4)
	c.write(0x10, append(append(mqttString("MQTT"), 4, 2, 0, 1), mqttString("c")...)) // a keep-alive of 1 s
	c.read()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := range uint16(25) { // half a second longer than it would live
		<-tick.C
		c.publish(2, i+1, "t/a/p", "1")
		c.expect(puback, i+1)
	}
	c.closed() // and silence ends it
}
