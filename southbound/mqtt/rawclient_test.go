package mqtt

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// rawClient speaks MQTT by hand, so that a test sees each packet.
type rawClient struct {
	t       *testing.T
	conn    net.Conn
	in      *bufio.Reader
	version byte
}

// dialRaw connects as id with a clean session and reads the CONNACK.
func dialRaw(t *testing.T, addr string, version byte, id string) *rawClient {
	t.Helper()
	c := openRaw(t, addr, version)
	c.connect(id, 0x02)
	if kind, body := c.read(); kind != 0x20 || body[1] != 0 {
		t.Fatalf("CONNECT answered by %#x %x", kind, body)
	}
	return c
}

func openRaw(t *testing.T, addr string, version byte) *rawClient {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &rawClient{t, nc, bufio.NewReader(nc), version}
}

func mqttString(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func (c *rawClient) connect(id string, flags byte) {
	b := append(mqttString("MQTT"), c.version, flags, 0, 60)
	if c.version == 5 {
		b = append(b, 5, 0x11, 0, 0, 1, 0) // Session Expiry Interval 256 s
	}
	c.write(0x10, append(b, mqttString(id)...))
}

func (c *rawClient) write(kind byte, body []byte) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	b := binary.AppendUvarint([]byte{kind}, uint64(len(body))) // the same encoding as MQTT's
	if _, err := c.conn.Write(append(b, body...)); err != nil {
		c.t.Fatalf("write packet %#x: %v", kind, err)
	}
}

func (c *rawClient) publish(flags byte, id uint16, topic, payload string) {
	c.t.Helper()
	b := mqttString(topic)
	if flags&6 != 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	if c.version == 5 {
		b = append(b, 0)
	}
	c.write(0x30|flags, append(b, payload...))
}

func (c *rawClient) tryRead() (kind byte, body []byte, err error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
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

func (c *rawClient) read() (kind byte, body []byte) {
	c.t.Helper()
	kind, body, err := c.tryRead()
	if err != nil {
		c.t.Fatalf("read packet: %v", err)
	}
	return kind, body
}

// expect reads a packet that answers message id, with an optional reason code.
func (c *rawClient) expect(kind byte, id uint16, reason ...byte) {
	c.t.Helper()
	want := append(binary.BigEndian.AppendUint16(nil, id), reason...)
	if k, body := c.read(); k != kind || string(body) != string(want) {
		c.t.Fatalf("got packet %#x %x, want %#x %x", k, body, kind, want)
	}
}

// silent fails if anything has come by the time of the answer to a ping.
func (c *rawClient) silent() {
	c.t.Helper()
	c.write(0xc0, nil)
	if k, body := c.read(); k != 0xd0 {
		c.t.Fatalf("got packet %#x %x, want only the answer to the ping", k, body)
	}
}

// closed fails unless the connection ends without another packet.
func (c *rawClient) closed() {
	c.t.Helper()
	if k, body, err := c.tryRead(); err == nil {
		c.t.Fatalf("got packet %#x %x, want the connection closed", k, body)
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		c.t.Fatal("the connection stays open")
	}
}
