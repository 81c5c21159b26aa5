package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// FuzzStream checks that the broker gets every byte that a client sends until
// the client has been let in, however it comes and is read.
func FuzzStream(f *testing.F) {
	f.Add([]byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c\x30\x03\x00\x01t\xc0\x00"), uint8(1), uint8(3))
	f.Add([]byte("\x32\xff\xff\xff\xff\x01"), uint8(2), uint8(200))
	for _, packets := range []string{ // of each kind, so that few are found by minimising
		"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x03\x21\x00\x05\x00\x00\xc0\x00", "\x82\x06\x00\x01\x00\x01t\x01\xe0\x00",
		"\x32\x06\x00\x01t\x00\x01x\x32\x06\x00\x01t\x00\x02y", "\x34\x06\x00\x01t\x00\x01x\x62\x02\x00\x01",
		"\x31\x04\x00\x01tx\x3a\x06\x00\x01t\x00\x01x", "\x32\x80\x01\x00\x01t\x00\x01", "\x30\x00\x30\x01\x00\xf0\x00",
	} {
		f.Add([]byte(packets), uint8(0), uint8(0))
		f.Add([]byte(packets), uint8(9), uint8(9))
	}
	f.Add([]byte("\x32\xff\xff\x02"+strings.Repeat("x", 9000)), uint8(255), uint8(255))
	e, err := New("local", inlet.Broker{Listen: inlet.Addresses{"127.0.0.1:0"}}, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, sent []byte, piece, read uint8) {
		from := &rig.Pieces{Rest: sent, Piece: 1 + int(piece)*16}
		c := newConn(from, from, e)
		defer e.leave(c)
		var got []byte
		b := make([]byte, 1+int(read)*8)
		for {
			n, err := c.Read(b)
			got = append(got, b[:n]...)
			if errors.Is(err, errLongConnect) {
				return
			}
			if err != nil {
				break
			}
		}
		if c.bridge { // it got no mark
			_, n := binary.Uvarint(sent[1:])
			sent = bytes.Clone(sent)
			unmarkBridge(sent[1+n:])
		}
		// What is left when the connection ends is an unfinished PUBLISH, the
		// beginning of a CONNECT, or less than a packet's header.
		if !bytes.HasPrefix(sent, got) || len(sent)-len(got) > streamBuffer {
			t.Errorf("%d bytes sent, %d came through", len(sent), len(got))
		}
		if rest := sent[len(got):]; len(rest) > 1 && rest[0]&^0x0a != publish &&
			(rest[0]&0xf0 != connect || len(got) > 0 || len(rest) > 5+longestName) {
			if _, n := binary.Uvarint(rest[1:]); n > 0 {
				t.Errorf("not given to the broker: %x", rest)
			}
		}
	})
}

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
			s := start(t, plain, r.ingest)
			raw := rig.Dial(t, address(t, s), 5, "c")
			raw.Publish(2, 1, "t/a/p", "1")
			raw.Publish(2, 2, "t/a/p", "2")
			raw.Expect(puback, 1)
			raw.Expect(puback, 2)
			_, _ = raw.Conn.Write([]byte(c.packet))
			if kind, _, err := raw.TryRead(); err == nil && (kind != c.answer || c.answer == 0) {
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
	s := start(t, plain, r.ingest)
	addr := address(t, s)
	sub := rig.Dial(t, addr, 4, "sub")
	sub.Write(0x82, append(append([]byte{0, 1}, rig.String("t/#")...), 0))
	sub.Read()
	c := rig.Dial(t, addr, 4, "c")
	const messages = 200
	for i := range messages {
		c.Publish(byte(i%2)<<1, uint16(i+1), "t/a/p", fmt.Sprint(i))
	}
	for i := range messages {
		kind, body := sub.Read()
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
	s := start(t, plain, r.ingest)
	c := rig.Open(t, address(t, s), 4)
	c.Write(0x10, append(append(rig.String("MQTT"), 4, 2, 0, 1), rig.String("c")...)) // a keep-alive of 1 s
	c.Read()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := range uint16(25) { // half a second longer than it would live
		<-tick.C
		c.Publish(2, i+1, "t/a/p", "1")
		c.Expect(puback, i+1)
	}
	c.Closed() // and silence ends it
}
