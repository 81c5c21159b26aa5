package broker

import (
	"encoding/binary"
	"math"
	"time"
)

const (
	// streamBuffer is how much of what a client sends is read at once, in bytes.
	// Longer packets are the broker's.
	streamBuffer = 4 << 10
	// everythingElse is the length of a packet whose length cannot be read: the
	// broker refuses it.
	everythingElse = math.MaxInt
)

// stream is what a client sends, cut into packets. It is of the goroutine that
// reads.
type stream struct {
	buffer []byte
	r, w   int // what of buffer is not yet used
	pass   int // bytes of a packet that the broker has read a part of
	now    time.Time
}

// Read gives the broker what the client sends, but for the messages that are
// taken at once: the broker copies a message several times and asks all its
// hooks about it, and most messages are as simple as those before.
func (c *conn) Read(b []byte) (int, error) {
	for c.pass == 0 {
		size, ready := c.packet()
		switch {
		case !ready:
			if err := c.fill(); err != nil {
				return 0, err
			}
		case size <= c.w-c.r:
			taken, err := c.take(c.buffer[c.r : c.r+size])
			if err != nil {
				return 0, err
			}
			if taken {
				c.r += size
			} else {
				c.pass = size
			}
		default:
			c.pass = size
		}
	}
	n, err := c.passOn(b)
	c.pass -= n
	return n, err
}

// packet returns the length of the packet that comes next. It is not ready if
// more must be read to know that, or what is in it.
func (c *conn) packet() (size int, ready bool) {
	have := c.buffer[c.r:c.w]
	if len(have) < 2 {
		return 0, false
	}
	length, n := binary.Uvarint(have[1:min(len(have), 5)])
	switch {
	case n == 0 && len(have) < 5:
		return 0, false
	case n <= 0: // more than four bytes (MQTT 5, section 1.5.5)
		return everythingElse, true
	}
	size = 1 + n + int(length)
	simple := have[0]&^0x0a == publish && size <= len(c.buffer)
	return size, !simple || size <= len(have)
}

// fill reads what the client has sent.
func (c *conn) fill() error {
	if c.buffer == nil {
		c.buffer = make([]byte, streamBuffer)
	}
	if c.r > 0 {
		c.w = copy(c.buffer, c.buffer[c.r:c.w])
		c.r = 0
	}
	n, err := c.Conn.Read(c.buffer[c.w:])
	c.w += n
	c.now = time.Now()
	return err
}

// passOn gives the broker bytes of the packet that is its.
func (c *conn) passOn(b []byte) (int, error) {
	if c.r == c.w && min(len(b), c.pass) < len(c.buffer) {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	b = b[:min(len(b), c.pass)]
	if c.r == c.w {
		return c.Conn.Read(b)
	}
	n := copy(b, c.buffer[c.r:c.w])
	c.r += n
	return n, nil
}
