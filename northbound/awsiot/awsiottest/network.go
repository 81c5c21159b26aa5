package awsiottest

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Network connects clients to a stand-in in memory, so that tests can run in
// fake time (testing/synctest stands still on sockets). Its connections buffer
// without limit, as a kernel does for a while. The zero value is ready to use.
type Network struct {
	mu       sync.Mutex
	listener *memoryListener // guarded by mu; nil while nobody listens
}

// LookupNetIP knows every host, by IPv4.
func (n *Network) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	if network == "ip6" {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
}

// DialContext connects to the stand-in, whatever the address.
func (n *Network) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listener
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := newMemoryConn()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *Network) listen() net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listener = &memoryListener{network: n, conns: make(chan net.Conn), closed: make(chan struct{})}
	return n.listener
}

type memoryListener struct {
	network *Network
	conns   chan net.Conn
	closed  chan struct{}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	if l.network.listener == l {
		l.network.listener = nil
	}
	close(l.closed)
	return nil
}

func (l *memoryListener) Addr() net.Addr { return memoryAddr{} }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "localhost:8883" }

// memoryConn is one end of a connection.
type memoryConn struct {
	in, out *pipe
}

func newMemoryConn() (a, b net.Conn) {
	one, two := newPipe(), newPipe()
	return &memoryConn{one, two}, &memoryConn{two, one}
}

func (c *memoryConn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *memoryConn) Write(b []byte) (int, error) { return c.out.write(b) }
func (c *memoryConn) Close() error {
	c.in.close(net.ErrClosed, syscall.EPIPE)
	c.out.close(io.EOF, net.ErrClosed)
	return nil
}
func (c *memoryConn) LocalAddr() net.Addr                { return memoryAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr               { return memoryAddr{} }
func (c *memoryConn) SetDeadline(t time.Time) error      { return c.SetReadDeadline(t) }
func (c *memoryConn) SetReadDeadline(t time.Time) error  { c.in.setDeadline(t); return nil }
func (c *memoryConn) SetWriteDeadline(_ time.Time) error { return nil } // writing never waits

// pipe is one direction of a connection.
type pipe struct {
	mu       sync.Mutex
	cond     *sync.Cond
	data     []byte      // guarded by mu, as all below
	onRead   error       // what reading gives when data is used up; nil while open
	onWrite  error       // what writing gives; nil while open
	deadline time.Time   // of reading
	timer    *time.Timer // wakes readers at the deadline
}

func newPipe() *pipe {
	p := &pipe{}
	p.cond = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.data) == 0 {
		switch {
		case p.onRead != nil:
			return 0, p.onRead
		case !p.deadline.IsZero() && !time.Now().Before(p.deadline):
			return 0, os.ErrDeadlineExceeded
		}
		p.cond.Wait()
	}
	if p.onRead == net.ErrClosed {
		return 0, p.onRead // closed on this side: what is left is lost
	}
	n := copy(b, p.data)
	p.data = p.data[n:]
	return n, nil
}

func (p *pipe) write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.onWrite != nil {
		return 0, p.onWrite
	}
	p.data = append(p.data, b...)
	p.cond.Broadcast()
	return len(b), nil
}

// close ends the direction; the first reasons count.
func (p *pipe) close(onRead, onWrite error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.onRead == nil {
		p.onRead = onRead
	}
	if p.onWrite == nil {
		p.onWrite = onWrite
	}
	p.stopTimer()
	p.cond.Broadcast()
}

func (p *pipe) setDeadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopTimer()
	p.deadline = t
	if !t.IsZero() && p.onRead == nil {
		p.timer = time.AfterFunc(time.Until(t), p.cond.Broadcast)
	}
	p.cond.Broadcast()
}

func (p *pipe) stopTimer() {
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
}
