package uplink

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/google/go-cmp/cmp"

	"fieldbridge/bridge"
)

// writes are those of a connection.
type writes struct {
	net.Conn
	all  [][]byte
	each chan struct{}
	err  error
}

func (w *writes) Write(b []byte) (int, error) {
	w.all = append(w.all, bytes.Clone(b))
	w.each <- struct{}{}
	return len(b), w.err
}

// TestPublishTogether: messages that follow on one another leave in one piece, in their
// order, as far as a record of TLS goes; what the library sends comes behind them.
func TestPublishTogether(t *testing.T) {
	w := &writes{each: make(chan struct{}, 10)}
	c := newPacketConn(w, func(err error) { t.Error(err) }, nil)
	small := bridge.Message{Topic: "a", Payload: make([]byte, 5000)}
	var want []byte
	for id := range uint16(3) {
		c.publish(id+1, &small, nil)
		want = appendPublish(want, id+1, &small, nil)
	}
	if len(w.all) != 0 {
		t.Fatalf("%d writes before who publishes waits", len(w.all))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); c.writing(ctx) }()
	<-w.each
	cancel()
	<-ended
	if len(w.all) != 1 || !bytes.Equal(w.all[0], want) {
		t.Fatalf("three messages left in %d writes", len(w.all))
	}

	w.all = nil
	for id := range uint16(4) {
		c.publish(id+1, &small, nil)
	}
	if len(w.all) != 1 || len(w.all[0]) != len(want) {
		t.Errorf("the fourth does not fit: %d writes before it", len(w.all))
	}
	c.Lock()
	_, _ = c.Write([]byte{0xc0, 0})
	c.Unlock()
	if len(w.all) != 2 || !bytes.HasSuffix(w.all[1], []byte{0xc0, 0}) || len(w.all[1]) != len(want)/3+2 {
		t.Errorf("a ping overtakes a message: % x", w.all[1:])
	}
	large := bridge.Message{Topic: "a", Payload: make([]byte, 100_000)}
	c.publish(9, &large, nil)
	c.publish(10, &small, nil)
	if len(w.all) != 3 || len(w.all[2]) < 100_000 || len(w.all[2]) > 100_100 {
		t.Errorf("%d writes, a large message is one", len(w.all))
	}
}

// TestPublishFails: the first error of a write is told, and nothing is written after it.
func TestPublishFails(t *testing.T) {
	w := &writes{each: make(chan struct{}, 10), err: errors.New("reset")}
	told := make(chan error, 10)
	c := newPacketConn(w, func(err error) { told <- err }, nil)
	m := bridge.Message{Topic: "a", Payload: []byte("1")}
	c.publish(1, &m, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); c.writing(ctx) }()
	if err := <-told; !errors.Is(err, w.err) {
		t.Errorf("told of %v", err)
	}
	cancel()
	<-ended
	c.publish(2, &m, nil)
	c.Lock()
	_, err := c.Write([]byte{0xc0, 0})
	c.Unlock()
	if !errors.Is(err, w.err) || len(w.all) != 1 || len(told) != 0 {
		t.Errorf("%d writes, told %d times more", len(w.all), len(told))
	}
}

// pieces are what a connection reads, one after the other.
type pieces struct {
	net.Conn
	all [][]byte
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.all) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.all[0])
	if p.all[0] = p.all[0][n:]; len(p.all[0]) == 0 {
		p.all = p.all[1:]
	}
	return n, nil
}

// TestAcknowledgements: however what comes is cut, each PUBACK is told of once, by the
// connection or by the library, and the library gets all else unchanged.
func TestAcknowledgements(t *testing.T) {
	puback := func(id, code byte) []byte {
		if code == 0 {
			return []byte{0x40, 2, 0, id}
		}
		return []byte{0x40, 3, 0, id, code}
	}
	long := append([]byte{0x30, 0xb3, 5, 0, 1, 'a', 0}, bytes.Repeat([]byte{0x40, 2, 0, 99}, 200)...)
	long = long[:3+5<<7+0x33]
	alike := append([]byte{0x90, 0x40, 2, 0, 0}, bytes.Repeat([]byte{1},
		0x40-3)...) // from its length on it looks like one
	rest := bytes.Join([][]byte{{0xd0, 0}, {0x90, 4, 0, 9, 0, 1}, long, alike, {0xd0, 0}}, nil)
	stream := bytes.Join([][]byte{puback(1, 0), puback(2, 0x87), rest[:2], puback(3, 0), rest[2:8], puback(4, 0),
		{0x40, 4, 0, 5, 0x97, 0}, rest[8 : len(rest)-2], puback(6, 0), rest[len(rest)-2:], puback(7, 0x10)}, nil)
	want := map[uint16]byte{1: 0, 2: 0x87, 3: 0, 4: 0, 5: 0x97, 6: 0, 7: 0x10}
	for cut := 1; cut < 700; cut++ {
		got := make(map[uint16]byte)
		acked := func(id uint16, code byte) {
			if _, twice := got[id]; twice {
				t.Errorf("in pieces of %d: %d comes twice", cut, id)
			}
			got[id] = code
		}
		var p pieces
		for b := stream; len(b) > 0; b = b[min(cut, len(b)):] {
			p.all = append(p.all, b[:min(cut, len(b))])
		}
		c := newPacketConn(&p, func(error) {}, acked)
		var others []byte
		for {
			packet, err := packets.ReadPacket(c)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("in pieces of %d: %v", cut, err)
			}
			if ack, ok := packet.Content.(*packets.Puback); ok {
				acked(ack.PacketID, ack.ReasonCode)
				continue
			}
			var b bytes.Buffer
			_, _ = packet.WriteTo(&b)
			others = append(others, b.Bytes()...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("in pieces of %d: %s", cut, diff)
		}
		if !bytes.Equal(others, rest) {
			t.Fatalf("in pieces of %d: the library gets % x", cut, others)
		}
	}
}
