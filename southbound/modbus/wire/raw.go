package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/goburrow/modbus"
)

// Raw sends any request PDU and returns the PDU of its answer, which may be an
// exception; then the error is nil. The answer is valid until the next call.
func (c *Client) Raw(pdu []byte) ([]byte, error) {
	if len(pdu) < 1 || len(pdu) > maxPDU || pdu[0]&0x80 != 0 {
		return nil, errors.New("not a request: 1 to 253 bytes that begin with a function below 128")
	}
	request, err := c.h.Encode(&modbus.ProtocolDataUnit{FunctionCode: pdu[0], Data: pdu[1:]})
	if err != nil {
		return nil, err
	}
	answer, err := c.h.Send(request)
	if err != nil {
		return nil, err
	}
	if err := c.h.Verify(request, answer); err != nil {
		return nil, err
	}
	_, got := c.h.link.parts(answer)
	return trimmed(got), nil
}

// WriteCoil sets a coil by function 5 with a number of its own, where a unit wants
// another than 0xFF00 and 0.
func (c *Client) WriteCoil(address, number uint16) error {
	pdu := binary.BigEndian.AppendUint16([]byte{5}, address)
	answer, err := c.Raw(binary.BigEndian.AppendUint16(pdu, number))
	if err != nil {
		return err
	}
	return Exception(answer)
}

// relay carries requests over someone else's line.
type relay struct {
	send func(ctx context.Context, unit byte, pdu []byte) ([]byte, error)
	mbap mbap
}

// NewRelay returns a carrier that hands request PDUs to send, which returns the
// PDUs of their answers, exceptions included.
func NewRelay(send func(ctx context.Context, unit byte, pdu []byte) ([]byte, error)) Carrier {
	return &relay{send: send}
}

func (*relay) Connected() bool { return true }
func (*relay) Strays() uint64  { return 0 }
func (*relay) Drop()           {}
func (*relay) Unwatch()        {}
func (*relay) Rest()           {}
func (*relay) Close()          {}

func (r *relay) encode(buf []byte, unit, function byte, data []byte) []byte {
	return r.mbap.encode(buf, unit, function, data)
}

func (r *relay) parts(frame []byte) (byte, []byte) { return r.mbap.parts(frame) }

func (r *relay) exchange(ctx context.Context, request []byte, _ wait) ([]byte, error) {
	unit, pdu := r.parts(request)
	answer, err := r.send(ctx, unit, pdu)
	if err != nil {
		if strings.Contains(err.Error(), ErrAllUnits.Error()) {
			err = ErrAllUnits // it came as text
		}
		return nil, err
	}
	if len(answer) < 2 || len(answer) > maxPDU {
		return nil, protocolErrorf("answer of %d bytes", len(answer))
	}
	return r.encode(nil, unit, answer[0], answer[1:]), nil
}
