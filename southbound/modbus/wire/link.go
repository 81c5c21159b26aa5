package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"fieldbridge/pause"
)

// Stream is what frames travel on: a connection or a serial port.
type Stream interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

// Options are how a [Link] behaves.
type Options struct {
	// Dial makes a connection. It is called when there is none and a request is
	// due; ctx ends after the connect timeout.
	Dial func(ctx context.Context) (Stream, error)
	// ConnectTimeout bounds Dial.
	ConnectTimeout time.Duration
	// ConnectDelay is the wait between connecting and the first request.
	ConnectDelay time.Duration
	// Silence is the least time between an answer and the next request.
	Silence time.Duration
	// Datagrams is whether the stream is a UDP socket: each frame is one datagram,
	// with an MBAP header.
	Datagrams bool
	// Unnumbered is whether answers over TCP do not repeat the transaction id.
	Unnumbered bool
	// Char is how long a character takes on a serial line; 0 where the
	// transmission takes no time. It is added to the time that an answer has.
	Char time.Duration
}

// Link is a connection to the units of a bus with one request outstanding. All
// methods but Close are for one goroutine.
type Link struct {
	o       Options
	framing framing
	buf     [4 * maxADU]byte
	have    []byte          // received and not yet used, within buf
	ended   time.Time       // when the last request was over
	silent  int             // failures in a row without a sign of life
	got     int             // bytes received since the last request
	late    map[byte][]late // by unit, in the order asked, where answers have no transaction id
	heard   map[byte]heard  // by unit, there
	sizes   sizes

	stream  Stream // the owner's; also guarded by mu for interrupt
	mu      sync.Mutex
	watched *vigil // the owner's; also guarded by mu
}

// vigil is the watch over a context whose end closes the connection.
type vigil struct {
	ctx  context.Context // only to see whether another one comes
	stop func() bool
}

// silences is how many failures in a row, without a sign of life, make a
// connection count as dead: a cut cable looks like that.
const silences = 3

// NewRTU returns a link that frames with CRCs, for a serial line or a converter
// behind TCP. It does not connect. On a serial line o.Silence is that of
// the specification, [Serial.Silence].
func NewRTU(o Options) *Link {
	return newPlain(o, &rtu{})
}

// NewASCII returns a link that frames with characters, for a serial line or a
// converter behind TCP. It does not connect.
func NewASCII(o Options) *Link { return newPlain(o, &ascii{}) }

// newPlain returns a link whose answers have no transaction id.
func newPlain(o Options, f framing) *Link {
	l := &Link{o: o, framing: f, late: make(map[byte][]late), heard: make(map[byte]heard), sizes: make(sizes)}
	switch f := f.(type) {
	case *rtu:
		f.sizes = l.sizes
	case *ascii:
		f.sizes = l.sizes
	case *unnumbered:
		f.sizes = l.sizes
	}
	return l
}

// NewTCP returns a link that frames with MBAP headers. It does not connect.
func NewTCP(o Options) *Link {
	if o.Unnumbered {
		return newPlain(o, &unnumbered{})
	}
	return &Link{o: o, framing: &mbap{}}
}

// Connected reports whether there is a connection, as far as is known.
func (l *Link) Connected() bool { return l.stream != nil }

// Strays returns how many answers of another transaction or unit were thrown
// away. It is safe for concurrent use.
func (l *Link) Strays() uint64 {
	switch m := l.framing.(type) {
	case *mbap:
		return m.strays.Load()
	case *unnumbered:
		return m.strays.Load()
	}
	return 0
}

// Close ends the connection; the next request makes a new one. It interrupts a
// request under way.
func (l *Link) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream != nil {
		_ = l.stream.Close()
	}
}

// Rest lifts the deadline of the last request: a timer that goes off for nothing
// would wake the gateway.
func (l *Link) Rest() {
	if l.stream != nil {
		_ = l.stream.SetDeadline(time.Time{}) // an end that this meets is met by the next request, too
	}
}

// Drop closes and forgets the connection; the next request makes a new one.
func (l *Link) Drop() { l.drop() }

// drop forgets the connection.
func (l *Link) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream != nil {
		_ = l.stream.Close()
		l.stream = nil
	}
	l.have = nil
	l.silent = 0
	l.framing.reset()
}

// Unwatch stops watching the context of the last request, which is about to end
// though nothing is wrong.
func (l *Link) Unwatch() {
	l.vigil(nil)
}

func (l *Link) encode(buf []byte, unit, function byte, data []byte) []byte {
	return l.framing.encode(buf, unit, function, data)
}

func (l *Link) parts(frame []byte) (byte, []byte) { return l.framing.parts(frame) }

// watch makes the end of ctx close the connection. The same context is watched
// once for many requests.
func (l *Link) watch(ctx context.Context) {
	if l.watched != nil && l.watched.ctx == ctx {
		return
	}
	v := &vigil{ctx: ctx}
	l.vigil(v)
	v.stop = context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.watched == v && l.stream != nil {
			_ = l.stream.Close()
		}
	})
}

// vigil makes v the watch, and ends the one before. A context that has ended
// already must not close, late, what another context's request goes over.
func (l *Link) vigil(v *vigil) {
	l.mu.Lock()
	before := l.watched
	l.watched = v
	l.mu.Unlock()
	if before != nil {
		before.stop()
	}
}

// exchange sends a request frame and returns the frame of its answer, which is
// valid until the next call.
func (l *Link) exchange(ctx context.Context, request []byte, w wait) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	_, pdu := l.parts(request)
	again := l.stream != nil && repeatable(pdu[0])
	if l.stream != nil && !again && l.hungUp() {
		l.drop() // what writes is sent once, so it is looked at before
	}
	answer, err := l.once(ctx, request, w)
	if err != nil && again && l.stale(err) && ctx.Err() == nil {
		// The peer closed an idle connection, or left bytes on it: that says
		// nothing about this request.
		answer, err = l.once(ctx, request, w)
	}
	if ctx.Err() != nil && err != nil {
		l.drop()
		return nil, ctx.Err()
	}
	return answer, err
}

func (l *Link) once(ctx context.Context, request []byte, w wait) ([]byte, error) {
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	if still := max(w.pause, l.o.Silence); still > 0 && !pause.Sleep(ctx, time.Until(l.ended.Add(still))) {
		return nil, ctx.Err()
	}
	timeout := w.timeout
	l.watch(ctx)
	if l.late != nil && request[0] == allUnits && !l.o.Unnumbered {
		return l.broadcast(ctx, request, w.pause)
	}
	if l.late != nil {
		if w.bytes > 0 {
			l.sizes[string(request)] = w.bytes
		}
		if err := l.clear(request); err != nil {
			l.drop()
			return nil, l.o.broken(err)
		}
		timeout += l.o.Char * time.Duration(l.framing.chars(len(request))+l.framing.chars(l.sizes.wanted(request)))
	}
	l.framing.stamp(request)
	strays, sent := l.Strays(), time.Now()
	answer, err := l.transact(request, sent.Add(timeout))
	if err == nil && l.late != nil {
		answer, err = l.own(ctx, request, answer, timeout, time.Since(sent))
	}
	l.ended = time.Now()
	switch {
	case err == nil:
		l.silent = 0
	case err == errDoubt:
		l.silent, l.have = 0, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = l.missed(request, strays)
		torn := l.late == nil && len(l.have) > 0 // the rest of a frame may never come
		torn = torn || l.o.Datagrams && l.Strays()-strays > mostStrays
		if l.late != nil {
			err = l.unanswered(request, timeout)
		}
		if l.silent++; l.silent >= silences || torn || l.flooded() {
			l.drop()
		}
	case errors.Is(err, errNoAnswer):
		err = protocolErrorf("%d bytes that are not an answer, or have a wrong checksum: % x", len(l.have),
			l.have[:min(len(l.have), 16)])
		l.have = nil
		if l.silent++; l.silent >= silences || l.flooded() {
			l.drop()
		}
	default:
		l.drop()
		if _, ok := err.(*ProtocolError); !ok {
			err = l.o.broken(err)
		}
	}
	return answer, err
}

// missed is that no answer came in time, and what came instead since there were
// so many strays.
func (l *Link) missed(request []byte, strays uint64) error {
	if n := l.Strays() - strays; n > 0 {
		e := &StrayError{Count: n, Unnumbered: true}
		if m, ok := l.framing.(*mbap); ok && m.stray != nil {
			e.Unit, e.ID, e.Unnumbered = m.stray[6], frameID(m.stray), false
			e.Asked, e.AskedID = request[6], frameID(request)
		}
		return e
	}
	return ErrTimeout
}

// mostStrays is how many datagrams that are not the answer may come during a
// request before another socket, which they do not reach, is tried.
const mostStrays = 16

// flooded reports whether more was received than any answer and its echo: noise
// without end, which a new connection may be without.
func (l *Link) flooded() bool { return l.got > 2*l.framing.chars(maxADU) }

// transact writes the request and reads until its answer is there.
func (l *Link) transact(request []byte, deadline time.Time) ([]byte, error) {
	l.got = 0
	if err := l.stream.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if _, err := l.stream.Write(l.framing.put(request)); err != nil {
		// A peer that refused us said so before it hung up.
		if _, told := l.stream.Read(l.buf[:]); told != nil && errors.As(cause(told), new(*RefusedError)) {
			return nil, told
		}
		return nil, err
	}
	for {
		answer, used, err := l.framing.cut(request, l.have)
		l.have = l.have[used:]
		if answer != nil || err != nil {
			return answer, err
		}
		enough := l.late != nil && len(l.have) >= l.framing.chars(l.sizes.wanted(request))
		if enough {
			// A whole answer's worth of bytes is there and none is one: what
			// still comes, comes soon.
			soon := time.Now().Add(endOfFrame)
			if soon.Before(deadline) {
				_ = l.stream.SetDeadline(soon)
			}
		}
		if err := l.fill(); enough && errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, errNoAnswer
		} else if err != nil {
			return nil, err
		}
	}
}

// endOfFrame is how long a pause within a frame may be on its way through
// drivers, USB and converters.
const endOfFrame = 30 * time.Millisecond

var errNoAnswer = errors.New("no answer in what was received")

// fill reads what there is. A frame that was begun is kept, at the start of buf.
func (l *Link) fill() error {
	kept := copy(l.buf[:], l.have)
	n, err := l.stream.Read(l.buf[kept:])
	l.have = l.buf[:kept+n]
	l.got += n
	if n > 0 {
		if l.late == nil {
			l.silent = 0 // with CRCs, only a whole answer is a sign of life
		}
		return nil
	}
	return err
}

func (l *Link) open(ctx context.Context) error {
	if l.stream != nil {
		return nil
	}
	dctx, cancel := context.WithTimeout(ctx, l.o.ConnectTimeout)
	defer cancel()
	stream, err := l.o.Dial(dctx)
	if err != nil {
		if ctx.Err() == nil && dctx.Err() != nil {
			err = ErrTimeout
		}
		return &ConnectError{cause(err)}
	}
	if m, ok := l.framing.(*mbap); ok && l.o.Datagrams {
		stream = datagrams{stream, &m.strays}
	}
	l.mu.Lock()
	l.stream = stream
	l.mu.Unlock()
	if l.o.ConnectDelay > 0 && !pause.Sleep(ctx, l.o.ConnectDelay) {
		return ctx.Err()
	}
	return nil
}

// hungUp reports whether the peer has ended its side, as far as is known without
// asking it. What came meanwhile is kept.
func (l *Link) hungUp() bool {
	if c, ok := l.stream.(syscall.Conn); ok {
		return socketEnded(c)
	}
	// TLS: its farewell is a record that a look at the socket does not tell apart.
	if err := l.stream.SetDeadline(time.Unix(1, 0)); err != nil {
		return true
	}
	kept := copy(l.buf[:], l.have)
	n, err := l.stream.Read(l.buf[kept:])
	l.have = l.buf[:kept+n]
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

func socketEnded(c syscall.Conn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	ended := false
	_ = raw.Read(func(fd uintptr) bool { // with an error it is found out by the request
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ended = n == 0 && err == nil || errors.Is(err, syscall.ECONNRESET)
		return true
	})
	return ended
}

// stale reports whether err may come from what happened on a connection before
// the request. Framing by CRC sorts out such bytes by itself.
func (l *Link) stale(err error) bool {
	switch err.(type) {
	case *DisconnectError:
		return true
	case *ProtocolError:
		return l.late == nil
	}
	return false
}

// cause leaves out the addresses that package net puts around an error: they
// stand in the configuration.
func cause(err error) error {
	var name *net.DNSError
	if errors.As(err, &name) {
		return &NameError{name.Name, name.IsNotFound}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		if op.Op == "remote error" { // crypto/tls: an alert
			return &RefusedError{op.Err}
		}
		var call *os.SyscallError
		if errors.As(op.Err, &call) {
			return call.Err // which call it was helps nobody
		}
		return op.Err
	}
	return err
}
