package rig

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// Client speaks MQTT by hand, so that a test sees each packet.
type Client struct {
	t       testing.TB
	Conn    net.Conn
	in      *bufio.Reader
	Version byte
}

// Dial connects as id with a clean session and reads the CONNACK.
func Dial(t testing.TB, addr string, version byte, id string) *Client {
	t.Helper()
	c := Open(t, addr, version)
	c.Connect(id, 0x02)
	if kind, body := c.Read(); kind != 0x20 || body[1] != 0 {
		t.Fatalf("CONNECT answered by %#x %x", kind, body)
	}
	return c
}

// Open opens a connection and says nothing.
func Open(t testing.TB, addr string, version byte) *Client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &Client{t, nc, bufio.NewReader(nc), version}
}

// String is s as MQTT writes it: its length in two bytes, then itself.
func String(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

// Connect sends CONNECT with flags; an MQTT 5 session is to live for 256 s.
func (c *Client) Connect(id string, flags byte) {
	b := append(String("MQTT"), c.Version, flags, 0, 60)
	if c.Version == 5 {
		b = append(b, 5, 0x11, 0, 0, 1, 0) // Session Expiry Interval 256 s
	}
	c.Write(0x10, append(b, String(id)...))
}

// Write sends a packet of a kind.
func (c *Client) Write(kind byte, body []byte) {
	c.t.Helper()
	_ = c.Conn.SetWriteDeadline(time.Now().Add(Patience))
	b := binary.AppendUvarint([]byte{kind}, uint64(len(body))) // the same encoding as MQTT's
	if _, err := c.Conn.Write(append(b, body...)); err != nil {
		c.t.Fatalf("write packet %#x: %v", kind, err)
	}
}

// Publish sends a PUBLISH with flags.
func (c *Client) Publish(flags byte, id uint16, topic, payload string) {
	c.t.Helper()
	b := String(topic)
	if flags&6 != 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	if c.Version == 5 {
		b = append(b, 0)
	}
	c.Write(0x30|flags, append(b, payload...))
}

// TryRead reads a packet.
func (c *Client) TryRead() (kind byte, body []byte, err error) {
	_ = c.Conn.SetReadDeadline(time.Now().Add(Patience))
	if kind, err = c.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(c.in)
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, n)
	_, err = io.ReadFull(c.in, body)
	return kind, body, err
}

// Read reads a packet, and fails if none comes.
func (c *Client) Read() (kind byte, body []byte) {
	c.t.Helper()
	kind, body, err := c.TryRead()
	if err != nil {
		c.t.Fatalf("read packet: %v", err)
	}
	return kind, body
}

// Expect reads a packet that answers message id, with an optional reason code.
func (c *Client) Expect(kind byte, id uint16, reason ...byte) {
	c.t.Helper()
	want := append(binary.BigEndian.AppendUint16(nil, id), reason...)
	if k, body := c.Read(); k != kind || string(body) != string(want) {
		c.t.Fatalf("got packet %#x %x, want %#x %x", k, body, kind, want)
	}
}

// Silent fails if anything has come by the time of the answer to a ping.
func (c *Client) Silent() {
	c.t.Helper()
	c.Write(0xc0, nil)
	if k, body := c.Read(); k != 0xd0 {
		c.t.Fatalf("got packet %#x %x, want only the answer to the ping", k, body)
	}
}

// Closed fails unless the connection ends without another packet.
func (c *Client) Closed() {
	c.t.Helper()
	if k, body, err := c.TryRead(); err == nil {
		c.t.Fatalf("got packet %#x %x, want the connection closed", k, body)
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		c.t.Fatal("the connection stays open")
	}
}

// Over returns a client that writes to conn, whatever that is.
func Over(t testing.TB, conn net.Conn, version byte) *Client {
	return &Client{t, conn, bufio.NewReader(conn), version}
}
