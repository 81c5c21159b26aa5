package site

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fieldbridge/southbound/mqtt/inlet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a connection on which a broker says what was written before, in
// pieces, and hears everything.
type script struct {
	net.Conn // nil: nothing else is asked of it
	rest     []byte
}

func (c *script) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.rest[:min(len(c.rest), 7)])
	c.rest = c.rest[n:]
	return n, nil
}

func (c *script) Write(b []byte) (int, error)      { return len(b), nil }
func (c *script) Close() error                     { return nil }
func (c *script) SetDeadline(time.Time) error      { return nil }
func (c *script) SetReadDeadline(time.Time) error  { return nil }
func (c *script) SetWriteDeadline(time.Time) error { return nil }

// FuzzVersion311 checks that nothing an old broker says makes the client fall over.
func FuzzVersion311(f *testing.F) {
	f.Add([]byte("\x30\x06\x00\x03w/ax\x32\x08\x00\x03w/a\x00\x01x\x34\x08\x00\x03w/a\x00\x02x\x62\x02\x00\x02\x90\x03\x00\x01\x01\xd0\x00"))
	f.Fuzz(func(t *testing.T, said []byte) {
		from := &script{rest: append([]byte("\x20\x02\x00\x00"), said...)}
		client := New("old", inlet.Broker{URL: "mqtt://broker:1883"}, "g", slog.New(slog.DiscardHandler), nil)
		err := client.use311(t.Context(), newConn(from), func(_ inlet.Message, safe func(error)) {
			if safe != nil {
				safe(nil)
			}
		})
		if err == nil {
			t.Error("the connection has no end")
		}
	})
}
