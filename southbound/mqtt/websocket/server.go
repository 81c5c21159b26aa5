package websocket

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
)

// maxRequest is how long the request for a WebSocket may be, in bytes.
const maxRequest = 16 << 10

// Door says which requests for a WebSocket are let in.
type Door struct {
	Path    string   // "" is any
	Origins []string // pages whose scripts may connect; "*" is all
}

// Server returns the connection that a client asks for over nc. As with TLS the
// request is read and answered by the first Read, whose deadline holds for it;
// nothing may be written before.
func (d Door) Server(nc net.Conn) net.Conn { return &server{below: &below{Conn: nc}, door: d} }

type server struct {
	*below
	door Door

	mu   sync.Mutex
	open *conn // guarded by mu; nil until the request was answered
	err  error // of the request; of the goroutine that reads
}

// Read implements [net.Conn].
func (s *server) Read(b []byte) (int, error) {
	c := s.answered()
	if c == nil && s.err == nil {
		c, s.err = s.door.answer(s.below)
		s.mu.Lock()
		s.open = c
		s.mu.Unlock()
	}
	if s.err != nil {
		return 0, s.err
	}
	return c.Read(b)
}

func (s *server) answered() *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

var errTooEarly = errors.New("nothing can be written before the WebSocket is open")

// Write implements [net.Conn].
func (s *server) Write(b []byte) (int, error) {
	if c := s.answered(); c != nil {
		return c.Write(b)
	}
	return 0, errTooEarly
}

// answer reads a request and answers it.
func (d Door) answer(nc *below) (*conn, error) {
	in := bufio.NewReaderSize(io.LimitReader(nc, maxRequest), bufferSize)
	r, err := http.ReadRequest(in)
	if err != nil {
		return nil, fmt.Errorf("it does not ask for a WebSocket: %w", err)
	}
	refused := d.refuse(r)
	upgrader := websocket.Upgrader{Subprotocols: subprotocols, ReadBufferSize: bufferSize, WriteBufferSize: bufferSize,
		CheckOrigin: func(*http.Request) bool { return refused == nil }}
	w := &hijacked{nc: ofLibrary{nc}, in: in, header: make(http.Header)}
	if errors.Is(refused, errPath) {
		http.NotFound(w, r)
		return nil, w.finish(refused)
	}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		if refused == nil {
			refused = fmt.Errorf("it does not ask for a WebSocket: %w", err)
		}
		return nil, w.finish(refused)
	}
	return &conn{below: nc, ws: ws}, nil
}

var errPath = errors.New("there is no WebSocket at this path")

// refuse says why a request is not let in: a browser that shows somebody's page
// connects wherever the page's script wants (RFC 6455, section 10.2).
func (d Door) refuse(r *http.Request) error {
	if d.Path != "" && r.URL.Path != d.Path {
		return fmt.Errorf("%w: %.64q", errPath, r.URL.Path)
	}
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(d.Origins, "*") ||
		slices.ContainsFunc(d.Origins, func(o string) bool { return strings.EqualFold(o, origin) }) {
		return nil
	}
	// A name would not do: who owns it may have it point here.
	u, err := url.Parse(origin)
	if err == nil && strings.EqualFold(u.Host, r.Host) &&
		(net.ParseIP(u.Hostname()) != nil || strings.EqualFold(u.Hostname(), "localhost")) {
		return nil
	}
	return fmt.Errorf("scripts of the page %.64q may not connect: add it to origins", origin)
}

// hijacked is what the library needs of an HTTP server.
type hijacked struct {
	nc     net.Conn
	in     *bufio.Reader
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *hijacked) Header() http.Header         { return w.header }
func (w *hijacked) Write(b []byte) (int, error) { return w.body.Write(b) }
func (w *hijacked) WriteHeader(status int)      { w.status = status }

// Hijack implements [http.Hijacker].
func (w *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.nc, bufio.NewReadWriter(w.in, bufio.NewWriterSize(w.nc, bufferSize)), nil
}

// finish sends the answer, and returns why it is not a WebSocket.
func (w *hijacked) finish(why error) error {
	if w.status == 0 {
		return why // the connection was taken over already
	}
	w.header.Set("Connection", "close")
	answer := http.Response{StatusCode: w.status, ProtoMajor: 1, ProtoMinor: 1, Header: w.header,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len())}
	if err := answer.Write(w.nc); err != nil {
		return fmt.Errorf("%w (and the answer was not sent: %w)", why, err)
	}
	return why
}
