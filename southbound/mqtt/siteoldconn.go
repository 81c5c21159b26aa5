package mqtt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	paho3 "github.com/eclipse/paho.mqtt.golang"
)

// oldClient is a [siteClient] that speaks MQTT 3.1.1: for brokers that know
// nothing newer.
type oldClient struct{ paho3.Client }

// answered waits for the broker's answer.
func answered(ctx context.Context, token paho3.Token) error {
	ctx, cancel := context.WithTimeout(ctx, siteTimeout)
	defer cancel()
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return fmt.Errorf("no answer: %w", ctx.Err())
	}
}

func (c oldClient) subscribe(ctx context.Context, subs []subscription) ([]byte, error) {
	filters := make(map[string]byte, len(subs)) // with their QoS
	for _, s := range subs {
		filters[s.filter] = s.qos
	}
	token := c.SubscribeMultiple(filters, nil).(*paho3.SubscribeToken)
	if err := answered(ctx, token); err != nil {
		return nil, err
	}
	reasons := make([]byte, len(subs))
	for i, s := range subs {
		reasons[i] = token.Result()[s.filter]
	}
	return reasons, nil
}

func (c oldClient) unsubscribe(ctx context.Context, filter string) error {
	return answered(ctx, c.Unsubscribe(filter))
}

func (c oldClient) publish(ctx context.Context, topic string, payload []byte) error {
	return answered(ctx, c.Publish(topic, 0, false, payload))
}

// resubscribes is false: MQTT 3.1.1 sends retained messages each time.
func (c oldClient) resubscribes() bool { return false }

// oldConn gives paho what the broker sends. There is no Receive Maximum in MQTT
// 3.1.1: when too many messages wait until they are safe, nothing more is read.
type oldConn struct {
	*siteConn
	session *siteSession
	gone    <-chan struct{} // closed when the connection has ended
	left    int             // bytes of the packet that is read; of the goroutine that reads
}

func (c *oldConn) open(*url.URL, paho3.ClientOptions) (net.Conn, error) { return c, nil }

// pingreq keeps a connection alive (MQTT 3.1.1, section 3.12).
var pingreq = []byte{0xc0, 0}

// Read returns bytes of one packet at most.
func (c *oldConn) Read(b []byte) (int, error) {
	if c.left == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n, err := c.siteConn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

// next waits for room, and for a packet.
func (c *oldConn) next() error {
	for !c.session.awaitRoom(siteInFlight, c.gone, siteKeepAlive*time.Second/2) {
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
		if err := c.SetReadDeadline(time.Now().Add(siteKeepAlive * time.Second * 3 / 2)); err != nil {
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
			return errors.New("the broker sends a packet whose length can't be read")
		case length > siteMaxMessage:
			return fmt.Errorf("the broker sends a packet of %d bytes, more than %d", length, siteMaxMessage)
		}
		c.left = 1 + n + int(length)
		return nil
	}
}

// Write writes a packet. It is safe for concurrent use.
func (c *oldConn) Write(b []byte) (int, error) {
	c.Lock()
	defer c.Unlock()
	if err := c.SetWriteDeadline(time.Now().Add(siteTimeout)); err != nil {
		return 0, err
	}
	return c.siteConn.Write(b)
}
