package awsiottest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// wire is an accepted connection below TLS. While its cloud is dark nothing
// goes in or out.
type wire struct {
	net.Conn
	cloud  *Cloud
	closed chan struct{}
	ending chan struct{} // closed when we end it, before closed
	once   sync.Once
}

func (w *wire) Read(b []byte) (int, error) {
	if err := w.wait(); err != nil {
		return 0, err
	}
	n, err := w.Conn.Read(b)
	// What arrived in the dark is not seen before the light is back.
	if werr := w.wait(); werr != nil {
		return 0, werr
	}
	return n, err
}

// Write loses what is written in the dark: nobody waits, and the connection is
// broken before the light is back.
func (w *wire) Write(b []byte) (int, error) {
	if w.cloud.light() != nil {
		return len(b), nil
	}
	return w.Conn.Write(b)
}

// wait blocks while the cloud is dark and fails when w is closed.
func (w *wire) wait() error {
	for {
		select {
		case <-w.closed:
			return net.ErrClosed
		default:
		}
		light := w.cloud.light()
		if light == nil {
			return nil
		}
		select {
		case <-light:
		case <-w.closed:
			return net.ErrClosed
		}
	}
}

func (w *wire) Close() error {
	w.once.Do(func() {
		close(w.closed)
		w.cloud.forget(w)
	})
	return w.Conn.Close()
}

// reset breaks the connection with a TCP RST, as a broken network does.
func (w *wire) reset() {
	if tcp, ok := w.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = w.Close()
}

// mqttConn is a connection as the broker gets it.
type mqttConn struct {
	*tls.Conn
	wire   *wire
	who    *principal // set when the CONNECT has been read
	client atomic.Pointer[client]
	silent atomic.Bool // the client was silent for too long
	once   sync.Once
	first  firstPacket
	turn   turn // of the reading goroutine
}

// Read tells a client that was silent for too long so (0x8D) before it fails.
func (s *mqttConn) Read(b []byte) (int, error) {
	s.turn.end()
	n, err := s.Conn.Read(b)
	s.first.read(b[:n])
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() && !s.closing() && s.client.Load() != nil {
		s.silent.Store(true)
		if !old(s.client.Load().mochi) {
			_, _ = s.Conn.Write([]byte{0xE0, 0x02, 0x8D, 0x00})
		}
	}
	return n, err
}

// Write leaves out the SUBACKs that a client does not get.
func (s *mqttConn) Write(b []byte) (int, error) {
	if c := s.client.Load(); c != nil && len(b) >= 4 && b[0] == 0x90 {
		id := uint16(b[2])<<8 | uint16(b[3]) // its length takes one byte: it has at most eight codes
		c.mu.Lock()
		silent := c.silent[id]
		delete(c.silent, id)
		c.mu.Unlock()
		if silent {
			return len(b), nil
		}
	}
	return s.Conn.Write(b)
}

// early reports whether the client has sent something after its CONNECT without
// waiting for the CONNACK.
func (s *mqttConn) early() bool {
	if s.first.more() {
		return true
	}
	_ = s.SetReadDeadline(time.Now().Add(time.Millisecond))
	n, _ := s.Conn.Read(make([]byte, 1))
	return n > 0
}

// firstPacket watches how many bytes follow the first packet.
type firstPacket struct {
	head [5]byte
	seen int
	over bool // enough is known
}

func (f *firstPacket) read(b []byte) {
	if f.over || len(b) == 0 {
		return
	}
	if f.seen < len(f.head) {
		copy(f.head[f.seen:], b)
	}
	f.seen += len(b)
}

func (f *firstPacket) more() bool {
	f.over = true
	length, factor := 0, 1
	for i := 1; i < len(f.head); i++ {
		length += int(f.head[i]&127) * factor
		factor *= 128
		if f.head[i] < 128 {
			return f.seen > 1+i+length
		}
	}
	return false
}

func (s *mqttConn) closing() bool {
	select {
	case <-s.wire.ending:
		return true
	default:
		return false
	}
}

// Close ends our direction and stops reading. The TCP connection is closed by
// [wire.linger]: closing it with unread data would reset it, and the client would never
// see the DISCONNECT that we sent.
func (s *mqttConn) Close() error {
	s.once.Do(func() {
		close(s.wire.ending)
		if s.wire.cloud.light() == nil {
			_ = s.SetWriteDeadline(time.Now().Add(lingerTime))
			_ = s.CloseWrite()
		}
		_ = s.wire.SetReadDeadline(time.Now())
	})
	return nil
}

const lingerTime = 200 * time.Millisecond

// linger says that we are done, reads what the client still sends, for a moment,
// and closes.
func (w *wire) linger() {
	if tcp, ok := w.Conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_ = w.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, w.Conn)
	_ = w.Close()
}
