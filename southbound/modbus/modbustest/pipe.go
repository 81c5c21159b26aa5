package modbustest

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Dial connects to the simulator in memory, without a socket, so that a test
// may run on fake time. The connection is served until it is closed or ctx of
// Serve, which the caller gives, ends. While the simulator refuses, so does
// Dial.
func (s *Simulator) Dial(serve context.Context) (net.Conn, error) {
	s.mu.Lock()
	refused := s.refusing
	s.mu.Unlock()
	if refused {
		return nil, syscall.ECONNREFUSED
	}
	up, down := newHalf(), newHalf()
	up.packets, down.packets = s.Framing == UDP, s.Framing == UDP
	go s.ServeConn(serve, &pipe{r: up, w: down})
	return &pipe{r: down, w: up}, nil
}

// pipe is one end of a connection in memory with buffers, unlike net.Pipe.
type pipe struct{ r, w *half }

func (p *pipe) Read(b []byte) (int, error)  { return p.r.read(b) }
func (p *pipe) Write(b []byte) (int, error) { return p.w.write(b) }

func (p *pipe) Close() error {
	p.r.close()
	p.w.close()
	return nil
}

func (p *pipe) LocalAddr() net.Addr                { return pipeAddr{} }
func (p *pipe) RemoteAddr() net.Addr               { return pipeAddr{} }
func (p *pipe) SetDeadline(t time.Time) error      { p.r.setDeadline(t); return nil }
func (p *pipe) SetReadDeadline(t time.Time) error  { return p.SetDeadline(t) }
func (p *pipe) SetWriteDeadline(t time.Time) error { return nil }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// half is one direction.
type half struct {
	mu       sync.Mutex
	changed  *sync.Cond
	data     []byte
	packets  bool  // each write is read by itself, as datagrams are; not changed
	sizes    []int // of those
	closed   bool
	deadline time.Time
	timer    *time.Timer
}

func newHalf() *half {
	h := &half{}
	h.changed = sync.NewCond(&h.mu)
	return h
}

func (h *half) read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case len(h.data) > 0:
			n := len(h.data)
			if h.packets {
				n = h.sizes[0]
				h.sizes = h.sizes[1:]
			}
			done := copy(b, h.data[:n])
			if !h.packets {
				n = done
			}
			h.data = h.data[n:]
			return done, nil
		case h.closed:
			return 0, io.EOF
		case !h.deadline.IsZero() && !time.Now().Before(h.deadline):
			return 0, os.ErrDeadlineExceeded
		}
		h.changed.Wait()
	}
}

func (h *half) write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, io.ErrClosedPipe
	}
	h.data = append(h.data, b...)
	if h.packets {
		h.sizes = append(h.sizes, len(b))
	}
	h.changed.Broadcast()
	return len(b), nil
}

func (h *half) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
	}
	h.changed.Broadcast()
}

func (h *half) setDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deadline = t
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
	// One that is past needs no timer. In a bubble of synctest Go 1.26 runs such a timer at
	// once, and its race detector ends the process where that processor has run none before.
	if in := time.Until(t); !t.IsZero() && !h.closed && in > 0 {
		h.timer = time.AfterFunc(in, h.changed.Broadcast)
	}
	h.changed.Broadcast()
}

// Conn makes a connection of a serial port or any other file, for ServeConn.
func Conn(f *os.File) net.Conn { return file{f} }

type file struct{ *os.File }

func (file) LocalAddr() net.Addr  { return pipeAddr{} }
func (file) RemoteAddr() net.Addr { return pipeAddr{} }
