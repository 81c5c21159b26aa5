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
	var begin byte
	if b, err := in.Peek(1); err == nil { // an error comes again
		begin = b[0]
	}
	r, err := http.ReadRequest(in)
	if err != nil {
		return nil, notAsked(begin, err)
	}
	refused := d.refuse(r)
	upgrader := websocket.Upgrader{Subprotocols: subprotocols, ReadBufferSize: bufferSize, WriteBufferSize: bufferSize,
		CheckOrigin: func(*http.Request) bool { return refused == nil }}
	w := &hijacked{nc: ofLibrary{nc}, in: in, header: make(http.Header)}
	if refused != nil && refused.path {
		http.NotFound(w, r)
		return nil, w.finish(refused)
	}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		if refused == nil {
			refused = &Refusal{cause: "it does not ask for a WebSocket: " + err.Error(),
				Advice: "let it speak MQTT over WebSocket"}
		}
		return nil, w.finish(refused)
	}
	return &conn{below: nc, ws: ws}, nil
}

// Refusal is why a client is not let in.
type Refusal struct {
	cause  string
	Advice string // what to do
	path   bool   // there is nothing where it asked
}

func (r *Refusal) Error() string { return r.cause }

// notAsked says what is wrong with a client that began with a byte and could not be
// read as a request.
func notAsked(begin byte, err error) error {
	switch {
	case begin == 0 || errors.As(err, new(net.Error)):
		return fmt.Errorf("it does not ask for a WebSocket: %w", err)
	case begin == 0x10:
		return &Refusal{cause: "it speaks MQTT without WebSocket, and this port is WebSocket alone",
			Advice: "let it speak over WebSocket, or use an address of listen without ws://"}
	case begin == 0x16:
		return &Refusal{cause: "it begins TLS, and this address is ws://",
			Advice: "let it use ws://, or an address of tls: listen with wss://"}
	}
	return &Refusal{cause: "it does not ask for a WebSocket: " + err.Error(), Advice: "let it speak MQTT over WebSocket"}
}

// refuse says why a request is not let in: a browser that shows somebody's page
// connects wherever the page's script wants (RFC 6455, section 10.2).
func (d Door) refuse(r *http.Request) *Refusal {
	if d.Path != "" && r.URL.Path != d.Path {
		return &Refusal{cause: fmt.Sprintf("there is no WebSocket at the path %.64q", r.URL.Path),
			Advice: fmt.Sprintf("let it use the path %s, or leave the path out of listen", d.Path), path: true}
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
	return &Refusal{cause: fmt.Sprintf("scripts of the page %.64q may not connect", origin),
		Advice: "add it to origins if it is yours"}
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

// finish sends the answer, and returns why it is not a WebSocket, whether the client
// stays to hear that or not.
func (w *hijacked) finish(why *Refusal) error {
	if w.status == 0 {
		return why // the connection was taken over already
	}
	w.header.Set("Connection", "close")
	answer := http.Response{StatusCode: w.status, ProtoMajor: 1, ProtoMinor: 1, Header: w.header,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len())}
	_ = answer.Write(w.nc)
	return why
}
