package uplink

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"

	"github.com/eclipse/paho.golang/packets"

	"fieldbridge/bridge"
)

// packetConn writes each MQTT packet in one piece: the MQTT library locks it,
// writes the parts of a packet and unlocks it. Over TLS that is one record
// instead of three. Messages that follow on one another share a record and a
// system call, too: they leave when whoever sends them has no more just now.
type packetConn struct {
	net.Conn
	failed  func(error) // told of the first error of reading or writing
	waiting chan struct{}
	acked   func(id uint16, code byte) // told of PUBACKs

	lengths lengths // of what comes; the reader's own, as all below
	in      []byte  // came, and is for the library
	room    [512]byte

	mu  sync.Mutex
	buf []byte // guarded by mu; the packets so far
	err error  // guarded by mu
}

func newPacketConn(conn net.Conn, failed func(error), acked func(id uint16, code byte)) *packetConn {
	return &packetConn{Conn: conn, failed: failed, lengths: lengths{most: mostInbound}, waiting: make(chan struct{}, 1),
		acked: acked}
}

// maxIdleBuffer is what a packetConn keeps between packets: a record of TLS.
const maxIdleBuffer = 16 << 10

func (c *packetConn) Lock() { c.mu.Lock() }

// Unlock sends what was written since Lock, and what waits. An error is reported by the
// next Write, and the connection is given up.
func (c *packetConn) Unlock() {
	defer c.mu.Unlock()
	c.flush()
}

// flush sends what waits. c.mu is held.
func (c *packetConn) flush() {
	if c.err != nil || len(c.buf) == 0 {
		return
	}
	if _, c.err = c.Conn.Write(c.buf); c.err != nil {
		c.failed(c.err)
	}
	if c.buf = c.buf[:0]; cap(c.buf) > maxIdleBuffer {
		c.buf = nil
	}
}

// publish has a PUBLISH of QoS 1 sent by [packetConn.writing].
func (c *packetConn) publish(id uint16, m *bridge.Message, correlation []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.buf)+packetSize(m) > maxIdleBuffer {
		c.flush()
	}
	if c.err != nil {
		return
	}
	c.buf = appendPublish(c.buf, id, m, correlation)
	select {
	case c.waiting <- struct{}{}:
	default:
	}
}

// writing sends what waits until ctx ends. It gets its turn when who publishes waits for
// something, or at once where there is another thread.
func (c *packetConn) writing(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.waiting:
			c.mu.Lock()
			c.flush()
			c.mu.Unlock()
		}
	}
}

// Write is called with the lock held.
func (c *packetConn) Write(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	c.buf = append(c.buf, b...)
	return len(b), nil
}

// Read reads what is for the library, which takes packets byte by byte and makes objects
// of each: the acknowledgements of messages, of which there are as many as messages, do
// not pass through it.
func (c *packetConn) Read(b []byte) (int, error) {
	if len(c.in) == 0 && c.lengths.rest > 0 { // of a long packet
		n, err := c.Conn.Read(b[:min(len(b), c.lengths.rest)])
		c.lengths.rest -= n
		if err != nil {
			c.failed(err)
		}
		return n, err
	}
	for len(c.in) == 0 {
		n, err := c.Conn.Read(c.room[:])
		if e := c.sift(c.room[:n]); e != nil {
			c.in, err = nil, e
		}
		if err != nil && len(c.in) == 0 { // else it comes again
			c.failed(err)
			return 0, err
		}
	}
	n := copy(b, c.in)
	c.in = c.in[n:]
	return n, nil
}

// sift takes the simple PUBACKs out of b (MQTT 5, section 3.4), those that are in it as a
// whole and have no properties, and leaves the rest for the library.
func (c *packetConn) sift(b []byte) error {
	c.in = b[:0]
	for len(b) > 0 {
		const head = 2
		if c.lengths.between() && len(b) >= head+2 && b[0] == packets.PUBACK<<4 && (b[1] == 2 || b[1] == 3) &&
			len(b) >= head+int(b[1]) {
			code := byte(0)
			if b[1] == 3 {
				code = b[head+2]
			}
			c.acked(binary.BigEndian.Uint16(b[head:]), code)
			b = b[head+int(b[1]):]
			continue
		}
		n, err := c.lengths.next(b)
		if err != nil {
			return err
		}
		c.in = append(c.in, b[:n]...) // in place, as nothing grows
		b = b[n:]
	}
	return nil
}

// lengths follows the packets in a stream by their headers (MQTT 5, section
// 2.1.1), and finds one that is longer than most.
type lengths struct {
	most   int
	rest   int // bytes that are left of the packet
	digits int // of its length that were read; 0 is that a packet begins
	length int // what they say
}

// between reports whether a packet begins next.
func (l *lengths) between() bool { return l.rest == 0 && l.digits == 0 }

// next returns how many bytes of b, at least one, belong to the packet that begins there
// or began before.
func (l *lengths) next(b []byte) (n int, err error) {
	for n < len(b) {
		if l.rest > 0 {
			body := min(l.rest, len(b)-n)
			l.rest -= body
			return n + body, nil
		}
		c := b[n]
		n++
		if l.digits == 0 { // type and flags
			l.digits, l.length = 1, 0
			continue
		}
		l.length |= int(c&0x7f) << (7 * (l.digits - 1))
		if l.length > l.most {
			return n, &tooLongError{l.length, l.most}
		}
		if l.digits++; c < 0x80 {
			if l.rest, l.digits = l.length, 0; l.rest == 0 {
				return n, nil
			}
		} else if l.digits > 4 {
			return n, &tooLongError{l.length, l.most}
		}
	}
	return n, nil
}

// tooLongError is of a packet that claims more bytes than we said we take.
type tooLongError struct{ length, most int }

func (e *tooLongError) Error() string {
	return fmt.Sprintf("a packet of %d bytes or more comes, we take %d", e.length, e.most)
}
