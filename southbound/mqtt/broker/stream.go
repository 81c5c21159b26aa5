package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/southbound/mqtt/topic"
	"fieldbridge/southbound/mqtt/trouble"
	"fieldbridge/southbound/mqtt/weigh"
)

const (
	// streamBuffer is how much of what a client sends is read at once, in bytes.
	// Longer packets are the broker's.
	streamBuffer = 4 << 10
	// longestConnect is how long CONNECT may be: it may hold a last will.
	longestConnect = 72 << 10
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
	whole  int  // how much of a SUBSCRIBE packet must be there before the broker gets it
	held   bool // memory for the packet that the broker reads is taken
	first  int  // how long CONNECT was
	skip   int  // bytes of a packet that is too long that are still to come

	greeting [greetingBytes]byte // what the client said first
	greeted  int                 // how much of that has come
}

var (
	errLongConnect = errors.New("its CONNECT packet is longer than 72 KiB")
	errHolds       = errors.New("others wait for the memory of a packet that the client does not finish")
	errTooLong     = errors.New("its packet is longer than max_message, and is not a message")
	errSubscribe   = errors.New("its SUBSCRIBE packet has a filter without options")
)

// Read gives the broker what the client sends, but for the messages that are
// taken at once: the broker copies a message several times and asks all its
// hooks about it, and most messages are as simple as those before.
func (c *conn) Read(b []byte) (int, error) {
	for c.pass == 0 {
		if c.paused.Load() {
			c.awaitEnd()
			return 0, net.ErrClosed
		}
		if c.skip > 0 {
			if err := c.drop(); err != nil {
				return 0, err
			}
			continue
		}
		if c.held && c.whole == 0 { // the broker has done with the packet before
			c.held = false
			c.broker.memory.Arrivals.Give(c)
		}
		size, ready := c.packet()
		if size > 0 {
			if err := c.hold(size); err != nil {
				return 0, err
			}
		}
		switch {
		case ready && c.tooLong(size):
			if whole, err := c.refuseLong(size); err != nil {
				return 0, err
			} else if !whole {
				if err := c.fill(); err != nil {
					return 0, err
				}
			}
		case !ready:
			if err := c.fill(); err != nil {
				return 0, err
			}
		case c.whole > 0:
			if c.self.Properties.ProtocolVersion >= 5 && !subscribeHasOptions(c.buffer[c.r:c.r+size]) {
				return 0, errSubscribe
			}
			c.whole, c.pass = 0, size
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
	if c.first == 0 && have[0]&0xf0 == connect {
		if head := min(size, 1+n+longestName); len(have) < head {
			return 0, false
		}
		c.bridge = unmarkBridge(have[1+n:])
	}
	if have[0]&0xf0 == subscription && c.self != nil && size <= c.broker.packetLimit() {
		c.whole = size
		return size, size <= len(have)
	}
	simple := have[0]&^0x0a == publish && size <= len(c.buffer)
	return size, !simple || size <= len(have)
}

// hold takes memory for a packet of size bytes that is longer than what each
// connection has. It waits while others have it.
func (c *conn) hold(size int) error {
	if size == everythingElse {
		return nil
	}
	if c.first == 0 {
		if c.first = size; size > longestConnect {
			return errLongConnect
		}
	}
	if c.tooLong(size) {
		return nil
	}
	if c.held || size <= streamBuffer {
		return nil
	}
	// The broker reads it, and then makes a copy of it.
	if !c.broker.memory.Arrivals.Take(c, 2*int64(size), c.endsNot, c.isClosed) {
		return net.ErrClosed
	}
	c.held = true
	if c.patience > 0 {
		c.now = time.Now()
		c.extend()
	}
	return nil
}

// endsNot ends a client that does not finish its packet, for whose memory others
// wait.
func (c *conn) endsNot() {
	c.broker.blame(weigh.TooMuchArriving, c.who())
	c.abort(errHolds)
}

// subscribeHasOptions reports whether each filter of an MQTT 5 SUBSCRIBE packet
// has its options (section 3.8.3): the broker's library takes that for granted.
// What else is wrong the library finds itself.
func subscribeHasOptions(packet []byte) bool {
	_, n := binary.Uvarint(packet[1:])
	rest := packet[1+n:]
	if len(rest) < 3 {
		return true
	}
	rest = rest[2:]
	properties, n := binary.Uvarint(rest)
	if n <= 0 || uint64(len(rest)-n) < properties {
		return true
	}
	rest = rest[n+int(properties):]
	for len(rest) >= 2 {
		length := 2 + int(binary.BigEndian.Uint16(rest))
		if len(rest) < length {
			return true
		}
		if len(rest) == length {
			return false
		}
		rest = rest[length+1:]
	}
	return true
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
	switch {
	case c.whole > len(c.buffer):
		c.buffer = append(make([]byte, 0, c.whole), c.buffer[:c.w]...)[:c.whole]
	case c.whole == 0 && len(c.buffer) > streamBuffer && c.w <= streamBuffer:
		c.buffer = append(make([]byte, 0, streamBuffer), c.buffer[:c.w]...)[:streamBuffer]
	}
	n, err := c.Conn.Read(c.buffer[c.w:])
	c.in.Write(c.buffer[c.w : c.w+n])
	if c.greeted < greetingBytes {
		c.greeted += copy(c.greeting[c.greeted:], c.buffer[c.w:c.w+n])
	}
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
		n, err := c.Conn.Read(b)
		c.in.Write(b[:n])
		return n, err
	}
	n := copy(b, c.buffer[c.r:c.w])
	c.r += n
	return n, nil
}

// tooLong reports whether a packet of a client that has logged in is longer than
// the broker takes.
func (c *conn) tooLong(size int) bool {
	return c.self != nil && size > c.broker.packetLimit() && size != everythingElse
}

// refuseLong begins to skip a message of size bytes that is too long, and answers
// it: a client that is cut off for it would send it again and again. whole is
// false while its beginning has not come, nor enough is there to tell.
func (c *conn) refuseLong(size int) (whole bool, err error) {
	have := c.buffer[c.r:c.w]
	if have[0]&0xf0 != publish {
		return false, errTooLong
	}
	_, n := binary.Uvarint(have[1:])
	qos, rest := have[0]>>1&3, have[1+n:]
	if len(rest) < 2 {
		return false, nil
	}
	length := int(binary.BigEndian.Uint16(rest))
	if qos > 2 || 2+length+2 > size-1-n {
		return false, packets.ErrMalformedPacket
	}
	if begin := 1 + n + 2 + length + 2; len(have) < begin && begin <= len(c.buffer) {
		return false, nil
	}
	name, id := "a topic longer than its packets may be", uint16(0)
	if rest = rest[2:]; len(rest) >= length+2 {
		name, id = trouble.Short(topic.View(rest[:length])), binary.BigEndian.Uint16(rest[length:])
	} else if qos > 0 {
		return false, packets.ErrTopicNameInvalid // nobody has topics of 4 KiB
	}
	if name == "" {
		name = "a topic alias"
	}
	c.broker.trouble.Note(trouble.TooLarge, c.who(), fmt.Sprintf(
		"a message of %d bytes on %s is skipped, max_message is %d", size, name, c.broker.packetLimit()))
	if qos > 0 {
		c.deny(id, qos, packets.ErrQuotaExceeded)
	}
	c.skip = size
	return true, nil
}

// drop reads on in a packet that is skipped.
func (c *conn) drop() error {
	if c.r == c.w {
		if err := c.fill(); err != nil {
			return err
		}
		c.extend()
	}
	n := min(c.skip, c.w-c.r)
	c.r, c.skip = c.r+n, c.skip-n
	return nil
}
