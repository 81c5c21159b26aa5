package awsiottest

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"
)

// wire is an accepted connection below TLS. While its cloud is dark nothing
// goes in or out.
type wire struct {
	net.Conn
	cloud  *Cloud
	closed chan struct{}
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

func (w *wire) Write(b []byte) (int, error) {
	if err := w.wait(); err != nil {
		return 0, err
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

// session is a connection as the broker gets it.
type session struct {
	*tls.Conn
	wire *wire
	once sync.Once
}

// Close ends our direction and stops reading. The TCP connection is closed by
// linger: closing it with unread data would reset it, and the client would never
// see the DISCONNECT that we sent.
func (s *session) Close() error {
	s.once.Do(func() {
		if s.wire.cloud.light() == nil {
			_ = s.Conn.SetWriteDeadline(time.Now().Add(lingerTime))
			_ = s.Conn.CloseWrite()
		}
		if tcp, ok := s.wire.Conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
		_ = s.wire.Conn.SetReadDeadline(time.Now())
	})
	return nil
}

const lingerTime = 200 * time.Millisecond

// linger reads what the client still sends, for a moment, and closes.
func (s *session) linger() {
	_ = s.Close()
	_ = s.wire.Conn.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, s.wire.Conn)
	_ = s.wire.Close()
}
