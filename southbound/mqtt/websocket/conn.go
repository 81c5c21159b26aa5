package websocket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// bufferSize is of what is read and written at once, in bytes.
const bufferSize = 4 << 10

// subprotocols are the names of MQTT; the second is that of version 3.1.
var subprotocols = []string{"mqtt", "mqttv3.1"}

var errText = errors.New("a WebSocket message is text: MQTT is binary")

// conn is a connection over ws. One goroutine may read while another writes.
type conn struct {
	*below
	ws      *websocket.Conn
	message io.Reader // what is read; nil between messages
}

// Read reads bytes of one message.
func (c *conn) Read(b []byte) (int, error) {
	for {
		if c.message == nil {
			kind, r, err := c.ws.NextReader()
			if err != nil {
				return 0, ended(err)
			}
			if kind != websocket.BinaryMessage {
				return 0, errText
			}
			c.message = r
		}
		n, err := c.message.Read(b)
		if errors.Is(err, io.EOF) {
			c.message, err = nil, nil
		}
		if n > 0 || err != nil || len(b) == 0 {
			return n, ended(err)
		}
	}
}

// ended makes io.EOF of a connection that the other side closed as it should.
func ended(err error) error {
	if websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway,
		websocket.CloseNoStatusReceived) {
		return io.EOF
	}
	var code *websocket.CloseError
	if errors.As(err, &code) && code.Code == websocket.CloseAbnormalClosure {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Write sends b as one message.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.ws.WriteMessage(websocket.BinaryMessage, b); err != nil {
		return 0, fmt.Errorf("write WebSocket message: %w", err)
	}
	return len(b), nil
}

// below is the connection under a WebSocket. The library sets its deadlines for
// each write and takes them away after the request: it gets those that are meant.
type below struct {
	net.Conn

	mu    sync.Mutex
	write time.Time // guarded by mu; the deadline that our side has set
}

// ofLibrary is a connection below as the library sees it.
type ofLibrary struct{ *below }

// SetDeadline keeps the deadline that the request had.
func (l ofLibrary) SetDeadline(time.Time) error { return nil }

// SetWriteDeadline sets the deadline of a ping's answer, or puts back ours.
func (l ofLibrary) SetWriteDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.IsZero() {
		t = l.write
	}
	return l.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both deadlines. It may be called while another goroutine writes.
func (b *below) SetDeadline(t time.Time) error {
	return errors.Join(b.SetReadDeadline(t), b.SetWriteDeadline(t))
}

// SetWriteDeadline sets the deadline of writing, as SetDeadline does.
func (b *below) SetWriteDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.write = t
	return b.Conn.SetWriteDeadline(t)
}
