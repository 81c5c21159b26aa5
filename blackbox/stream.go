package blackbox

import (
	"net"
)

// PacketConn returns an MQTT connection of which the packets are recorded. A nil
// tape returns conn itself. text says which connection it is.
func PacketConn(conn net.Conn, t *Tape, text string) net.Conn {
	if t == nil {
		return conn
	}
	id := t.Conn(text)
	return &packetConn{Conn: conn, tape: t, id: id, in: NewPackets(t, Received, id), out: NewPackets(t, Sent, id)}
}

// packetConn is read by one goroutine at a time, and written by one.
type packetConn struct {
	net.Conn
	tape    *Tape
	id      uint32
	in, out Packets
}

func (c *packetConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Write(b[:n])
	if err != nil {
		c.tape.Say(c.id, "read: "+err.Error())
	}
	return n, err
}

func (c *packetConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.out.Write(b[:n])
	if err != nil {
		c.tape.Say(c.id, "write: "+err.Error())
	}
	return n, err
}
