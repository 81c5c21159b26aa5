package wire

import (
	"context"
	"errors"
	"time"

	"github.com/goburrow/modbus"
)

// Client is goburrow's client on a [Carrier], for one goroutine. Slices that its
// methods return are valid until the next call.
type Client struct {
	modbus.Client
	h handler
}

// Carrier is what carries the requests of clients: a [Link] or a [Shared].
type Carrier interface {
	// Connected reports whether there is a connection, as far as is known.
	Connected() bool
	// Strays returns how many answers of another transaction or unit were thrown
	// away. It is safe for concurrent use.
	Strays() uint64
	// Drop closes and forgets the connection; the next request makes a new one.
	Drop()
	// Unwatch makes the end of the last request's context, when the request is
	// done, mean nothing to the connection.
	Unwatch()
	// Rest has no timer run for a request that is done. The caller makes none just now.
	Rest()
	// Close ends the connection and interrupts a request under way.
	Close()

	exchange(ctx context.Context, request []byte, w wait) ([]byte, error)
	encode(buf []byte, unit, function byte, data []byte) []byte
	parts(frame []byte) (unit byte, pdu []byte)
}

// wait is how long a request may take, how long to be still before it, and how many
// bytes of data the answer has where its request does not tell; 0 is that it does.
type wait struct {
	timeout, pause time.Duration
	bytes          int
}

// NewClient returns a client on l.
func NewClient(l Carrier) *Client {
	c := &Client{h: handler{link: l}}
	c.Client = modbus.NewClient(&c.h)
	return c
}

// To sets who the next requests go to and how long they may take. The end of
// ctx ends a request.
func (c *Client) To(ctx context.Context, unit byte, timeout time.Duration) {
	c.h.ctx, c.h.unit, c.h.wait = ctx, unit, wait{timeout: timeout}
}

// Pause sets the least time between an answer and each request, until the next
// call of To. It does not apply on a [Shared].
func (c *Client) Pause(d time.Duration) { c.h.wait.pause = d }

// Before has begins called before each request, with how long a pause and
// its answer may take.
func (c *Client) Before(begins func(most time.Duration)) { c.h.before = begins }

// handler is the packager and the transporter under goburrow's client. Its
// interfaces know neither context nor unit, so they stand here; its buffers are
// used again for each request.
type handler struct {
	link    Carrier
	before  func(most time.Duration) // may be nil
	ctx     context.Context
	unit    byte
	wait    wait
	request []byte
	answer  modbus.ProtocolDataUnit
}

// Encode frames a request.
func (h *handler) Encode(pdu *modbus.ProtocolDataUnit) ([]byte, error) {
	h.request = h.link.encode(h.request, h.unit, pdu.FunctionCode, pdu.Data)
	return h.request, nil
}

// Send sends a request and returns the frame of its answer.
func (h *handler) Send(request []byte) ([]byte, error) {
	if h.before != nil {
		h.before(h.wait.timeout + h.wait.pause)
	}
	return h.link.exchange(h.ctx, request, h.wait)
}

// Verify refuses answers that break the protocol; the connection is not trusted
// afterwards, but for one that repeats a write in other words.
func (h *handler) Verify(request, answer []byte) error {
	_, asked := h.link.parts(request)
	_, got := h.link.parts(answer)
	err := verify(asked, got, h.wait.bytes)
	if err == nil {
		return nil // what errors.As needs costs memory
	}
	if echo := (*EchoError)(nil); !errors.As(err, &echo) {
		h.link.Drop()
	}
	return err
}

// Decode unpacks an answer.
func (h *handler) Decode(answer []byte) (*modbus.ProtocolDataUnit, error) {
	_, pdu := h.link.parts(answer)
	pdu = trimmed(pdu)
	h.answer = modbus.ProtocolDataUnit{FunctionCode: pdu[0], Data: pdu[1:]}
	return &h.answer, nil
}
