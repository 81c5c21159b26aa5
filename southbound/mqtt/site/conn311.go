package site

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	paho3 "github.com/eclipse/paho.mqtt.golang"

	"fieldbridge/southbound/mqtt/inlet"
)

// conn311 gives paho what the broker sends. There is no Receive Maximum in MQTT
// 3.1.1: when too many messages wait until they are safe, nothing more is read.
type conn311 struct {
	*conn
	session *session
	gone    <-chan struct{} // closed when the connection has ended
	tooLong func(bytes int, topic string)
	left    int // bytes of the packet that is read; of the goroutine that reads
}

func (c *conn311) open(*url.URL, paho3.ClientOptions) (net.Conn, error) { return c, nil }

// pingreq keeps a connection alive (MQTT 3.1.1, section 3.12).
var pingreq = []byte{0xc0, 0}

// Read returns bytes of one packet at most.
func (c *conn311) Read(b []byte) (int, error) {
	if c.left == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n, err := c.conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// next waits for room, and for a packet.
func (c *conn311) next() error {
	for !c.session.awaitRoom(mostInFlight, c.gone, keepAlive*time.Second/2) {
		select {
		case <-c.gone:
			return net.ErrClosed
		default: // the broker must know meanwhile that we live
		}
		if _, err := c.Write(pingreq); err != nil {
			return err
		}
	}
	if c.heard > 0 {
		// A ping is answered twice in that time.
		if err := c.SetReadDeadline(time.Now().Add(keepAlive * time.Second * 3 / 2)); err != nil {
			return err
		}
	}
	for have := 2; ; have++ {
		header, err := c.in.Peek(have)
		if err != nil {
			return err
		}
		length, n := binary.Uvarint(header[1:])
		switch {
		case n == 0 && have < 5:
			continue
		case n <= 0:
			return errors.New("the broker sends a packet whose length cannot be read")
		case length > maxMessage && header[0]&0xf0 == 0x30:
			if err := c.skip(1+n, int(length)); err != nil {
				return err
			}
			return c.next()
		case length > maxMessage:
			return fmt.Errorf("the broker sends a packet of %d bytes, more than %d", length, maxMessage)
		}
		c.left = 1 + n + int(length)
		return nil
	}
}

// skip reads over a message that is too long, and acknowledges it: a broker of MQTT
// 3.1.1 cannot be told what is too long, and would send it again on each connection.
func (c *conn311) skip(head, length int) error {
	begin, err := c.in.Peek(head + 2)
	if err != nil {
		return err
	}
	qos, name := begin[0]>>1&3, int(binary.BigEndian.Uint16(begin[head:]))
	if name > inlet.MaxTopic || qos > 2 {
		return fmt.Errorf("the broker sends a packet of %d bytes, more than %d, on a topic of %d", length, maxMessage, name)
	}
	if begin, err = c.in.Peek(head + 2 + name + 2); err != nil {
		return err
	}
	c.tooLong(length, string(begin[head+2:head+2+name]))
	answer := []byte{0x40, 2, begin[head+2+name], begin[head+2+name+1]}
	if qos == 2 {
		answer[0] = 0x50
	}
	for left := head + length; left > 0; {
		if err := c.SetReadDeadline(time.Now().Add(keepAlive * time.Second * 3 / 2)); err != nil {
			return err
		}
		n, err := c.in.Discard(min(left, c.in.Size()))
		if left -= n; err != nil {
			return err
		}
	}
	if qos == 0 {
		return nil
	}
	_, err = c.Write(answer)
	return err
}

// Write writes a packet. It is safe for concurrent use.
func (c *conn311) Write(b []byte) (int, error) {
	c.Lock()
	defer c.Unlock()
	if err := c.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return 0, err
	}
	return c.conn.Write(b)
}
