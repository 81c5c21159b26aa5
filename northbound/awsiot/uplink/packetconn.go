package uplink

import (
	"net"
	"sync"

	"fieldbridge/bridge"
)

// packetConn writes each MQTT packet in one piece: the MQTT library locks it,
// writes the parts of a packet and unlocks it. Over TLS that is one record
// instead of three.
type packetConn struct {
	net.Conn
	failed func(error) // told of the first error of reading or writing

	mu  sync.Mutex
	buf []byte // guarded by mu; the packet so far
	err error  // guarded by mu
}

// maxIdleBuffer is what a packetConn keeps between packets.
const maxIdleBuffer = 16 << 10

func (c *packetConn) Lock() { c.mu.Lock() }

// Unlock sends what was written since Lock. An error is reported by the next
// Write, and the connection is given up.
func (c *packetConn) Unlock() {
	defer c.mu.Unlock()
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

// publish sends a PUBLISH of QoS 1.
func (c *packetConn) publish(id uint16, m *bridge.Message, correlation []byte) {
	c.Lock()
	defer c.Unlock()
	if c.err == nil {
		c.buf = appendPublish(c.buf, id, m, correlation)
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
	if err != nil {
		c.failed(err)
	}
	return n, err
}
