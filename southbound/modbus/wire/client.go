package wire

import (
	"context"
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
	// Close ends the connection and interrupts a request under way.
	Close()

	exchange(ctx context.Context, request []byte, w wait) ([]byte, error)
	encode(buf []byte, unit, function byte, data []byte) []byte
	parts(frame []byte) (unit byte, pdu []byte)
}

// wait is how long a request may take, and how long to be still before it.
type wait struct{ timeout, pause time.Duration }

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

// Table is one of the four address spaces of a unit.
type Table uint8

// The tables.
const (
	Coil Table = iota
	Discrete
	Input
	Holding
)

// String returns the word for t: coil, discrete, input or holding.
func (t Table) String() string { return [...]string{"coil", "discrete", "input", "holding"}[t] }

// Bits reports whether t holds single bits.
func (t Table) Bits() bool { return t <= Discrete }

// Read reads count registers or bits of a table: registers as two bytes each,
// bits packed from the least significant on.
func (c *Client) Read(t Table, address, count uint16) (data []byte, err error) {
	switch t {
	case Coil:
		data, err = c.ReadCoils(address, count)
	case Discrete:
		data, err = c.ReadDiscreteInputs(address, count)
	case Input:
		data, err = c.ReadInputRegisters(address, count)
	default:
		data, err = c.ReadHoldingRegisters(address, count)
	}
	if err != nil {
		err = Plain(err)
	}
	return data, err
}

// handler is the packager and the transporter under goburrow's client. Its
// interfaces know neither context nor unit, so they stand here; its buffers are
// used again for each request.
type handler struct {
	link    Carrier
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
	return h.link.exchange(h.ctx, request, h.wait)
}

// Verify refuses answers that break the protocol; the connection is not trusted
// afterwards.
func (h *handler) Verify(request, answer []byte) error {
	_, asked := h.link.parts(request)
	_, got := h.link.parts(answer)
	err := verify(asked, got)
	if err != nil {
		h.link.Drop()
	}
	return err
}

// Decode unpacks an answer.
func (h *handler) Decode(answer []byte) (*modbus.ProtocolDataUnit, error) {
	_, pdu := h.link.parts(answer)
	h.answer = modbus.ProtocolDataUnit{FunctionCode: pdu[0], Data: pdu[1:]}
	return &h.answer, nil
}
