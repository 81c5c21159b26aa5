package site

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	paho3 "github.com/eclipse/paho.mqtt.golang"
)

// conn311 gives paho what the broker sends. There is no Receive Maximum in MQTT
// 3.1.1: when too many messages wait until they are safe, nothing more is read.
type conn311 struct {
	*conn
	session *session
	gone    <-chan struct{} // closed when the connection has ended
	left    int             // bytes of the packet that is read; of the goroutine that reads
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
		case length > maxMessage:
			return fmt.Errorf("the broker sends a packet of %d bytes, more than %d", length, maxMessage)
		}
		c.left = 1 + n + int(length)
		return nil
	}
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
