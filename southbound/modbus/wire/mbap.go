package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"sync/atomic"
)

const (
	mbapSize = 7   // transaction, protocol, length, unit
	maxPDU   = 253 // Modbus Application Protocol V1.1b3, section 4.1
	maxADU   = mbapSize + maxPDU
)

// framing is how requests and answers are told from the bytes around them.
type framing interface {
	// encode returns the frame of a request, in buf.
	encode(buf []byte, unit byte, function byte, data []byte) []byte
	// stamp makes a frame unlike those before it, where the framing can.
	stamp(frame []byte)
	// put returns what goes out for a frame, valid until the next call.
	put(frame []byte) []byte
	// chars returns how many characters a frame of n bytes is on a line.
	chars(n int) int
	// cut looks for the answer to request in what was received. It returns the
	// answer, nil if there is none yet, and how many bytes are of no more use.
	// An error says that the bytes cannot be trusted.
	cut(request, received []byte) (answer []byte, used int, err error)
	// parts takes a frame apart.
	parts(frame []byte) (unit byte, pdu []byte)
	// reset forgets the connection.
	reset()
}

// mbap is Modbus/TCP: each frame has a header with a transaction id that the
// answer repeats.
type mbap struct {
	id     uint16        // of the last request
	strays atomic.Uint64 // answers of another transaction or unit, since ever
	stray  []byte        // the header of the last since the request
}

func (m *mbap) encode(buf []byte, unit, function byte, data []byte) []byte {
	buf = append(buf[:0], 0, 0, 0, 0, 0, 0, unit, function)
	buf = append(buf, data...)
	binary.BigEndian.PutUint16(buf[4:], uint16(len(buf)-6))
	return buf
}

func (m *mbap) stamp(frame []byte) {
	m.id++
	m.stray = nil
	binary.BigEndian.PutUint16(frame, m.id)
}

func (*mbap) put(frame []byte) []byte { return frame }

func (*mbap) chars(n int) int { return n }

// cut skips answers to other requests and of other units: they came too late, or
// were never asked for.
func (m *mbap) cut(request, received []byte) (answer []byte, used int, err error) {
	want := binary.BigEndian.Uint16(request)
	for {
		frame, n, err := m.next(received[used:])
		if frame == nil || err != nil {
			return nil, used, err
		}
		used += n
		if frameID(frame) == want && frame[6] == request[6] {
			return frame, used, nil
		}
		m.strays.Add(1)
		m.stray = bytes.Clone(frame[:mbapSize])
	}
}

func frameID(frame []byte) uint16 { return binary.BigEndian.Uint16(frame) }

// next returns the frame that received begins with, and its length; nil if it is
// not whole. An error says that it is no frame.
func (m *mbap) next(received []byte) (frame []byte, n int, err error) {
	if len(received) < 6 {
		return nil, 0, nil
	}
	if protocol := binary.BigEndian.Uint16(received[2:]); protocol != 0 {
		return nil, 0, protocolErrorf("an answer that is no Modbus/TCP, it begins with %s", opening(received[:6]))
	}
	length := int(binary.BigEndian.Uint16(received[4:]))
	if length < 3 || length > maxPDU+1 {
		return nil, 0, protocolErrorf("a header with a length of %d", length)
	}
	if len(received) < 6+length {
		return nil, 0, nil
	}
	return received[:6+length], 6 + length, nil
}

// opening shows how an answer begins: as text where it is one, since other protocols
// name themselves so ("HTTP/1", "SSH-2.").
func opening(received []byte) string {
	for _, b := range received {
		if b < ' ' || b > '~' {
			return fmt.Sprintf("% x", received)
		}
	}
	return strconv.Quote(string(received))
}

func (m *mbap) parts(frame []byte) (byte, []byte) { return frame[6], frame[mbapSize:] }

func (*mbap) reset() {}

// unnumbered is Modbus/TCP of devices whose answers do not repeat the transaction id:
// it is 0, its bytes are swapped, or the device counts by itself. What is sent has 0,
// as some answer no other. Inside this package
// its frames are those of RTU, whose checksum is not looked at; so what holds for
// answers without a transaction id holds here.
type unnumbered struct {
	mbap
	sizes sizes
	out   []byte // what goes out
	frame []byte // the last that came
}

func (*unnumbered) encode(buf []byte, unit, function byte, data []byte) []byte {
	buf = append(buf[:0], unit, function)
	buf = append(buf, data...)
	return append(buf, 0, 0)
}

func (*unnumbered) stamp([]byte) {}

func (u *unnumbered) put(frame []byte) []byte {
	u.out = u.mbap.encode(u.out, frame[0], frame[1], frame[2:len(frame)-2])
	return u.out
}

func (*unnumbered) chars(n int) int { return n + mbapSize - 1 - 2 }

func (*unnumbered) parts(frame []byte) (byte, []byte) { return frame[0], frame[1 : len(frame)-2] }

// cut skips what cannot be the answer.
func (u *unnumbered) cut(request, received []byte) (answer []byte, used int, err error) {
	for {
		frame, n, err := u.next(received[used:])
		if frame == nil || err != nil {
			return nil, used, err
		}
		used += n
		unit, pdu := u.mbap.parts(frame)
		u.frame = append(append(append(u.frame[:0], unit), pdu...), 0, 0)
		if u.sizes.fits(u.frame, request) {
			return u.frame, used, nil
		}
		u.strays.Add(1)
	}
}
