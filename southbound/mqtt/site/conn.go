package site

import (
	"bufio"
	"net"
	"sync"
)

// conn is what paho reads from and writes to. Its packet reader reads
// single bytes, so there is a buffer; and it writes a packet in pieces unless
// the connection has a lock.
type conn struct {
	net.Conn
	sync.Mutex // of a packet that is written
	in         *bufio.Reader
	begin      [3]byte // of what the broker said
	heard      int     // bytes of begin
}

func newConn(c net.Conn) *conn { return &conn{Conn: c, in: bufio.NewReaderSize(c, 16<<10)} }

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	if c.heard < len(c.begin) {
		c.heard += copy(c.begin[c.heard:], b[:n])
	}
	return n, err
}

// old reports whether the answer to CONNECT is not that of MQTT 5: a CONNACK
// without properties, or nothing at all.
func (c *conn) old() bool { return c.heard == 0 || c.begin[0] == 0x20 && c.begin[1] == 2 }
