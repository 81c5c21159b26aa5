package uplink

import (
	"context"
	"fmt"
	"net"
	"sync"

	"fieldbridge/bridge"
)

// packetConn writes each MQTT packet in one piece: the MQTT library locks it,
// writes the parts of a packet and unlocks it. Over TLS that is one record
// instead of three. Messages that follow on one another share a record and a
// system call, too: they leave when whoever sends them has no more just now.
type packetConn struct {
	net.Conn
	failed  func(error) // told of the first error of reading or writing
	lengths lengths     // of what comes; the reader's own
	waiting chan struct{}

	mu  sync.Mutex
	buf []byte // guarded by mu; the packets so far
	err error  // guarded by mu
}

func newPacketConn(conn net.Conn, failed func(error)) *packetConn {
	return &packetConn{Conn: conn, failed: failed, lengths: lengths{most: mostInbound}, waiting: make(chan struct{}, 1)}
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

func (c *packetConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if e := c.lengths.check(b[:n]); e != nil {
		n, err = 0, e
	}
	if err != nil {
		c.failed(err)
	}
	return n, err
}

// lengths follows the packets in a stream by their headers (MQTT 5, section
// 2.1.1), and finds one that is longer than most.
type lengths struct {
	most   int
	rest   int // bytes that are left of the packet
	digits int // of its length that were read; 0 is that a packet begins
	length int // what they say
}

func (l *lengths) check(b []byte) error {
	for len(b) > 0 {
		if l.rest > 0 {
			n := min(l.rest, len(b))
			l.rest -= n
			b = b[n:]
			continue
		}
		c := b[0]
		b = b[1:]
		if l.digits == 0 { // type and flags
			l.digits, l.length = 1, 0
			continue
		}
		l.length |= int(c&0x7f) << (7 * (l.digits - 1))
		if l.length > l.most {
			return &tooLongError{l.length, l.most}
		}
		if l.digits++; c < 0x80 {
			l.rest, l.digits = l.length, 0
		} else if l.digits > 4 {
			return &tooLongError{l.length, l.most}
		}
	}
	return nil
}

// tooLongError is of a packet that claims more bytes than we said we take.
type tooLongError struct{ length, most int }

func (e *tooLongError) Error() string {
	return fmt.Sprintf("a packet of %d bytes or more comes, we take %d", e.length, e.most)
}
