package modbustest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
)

// Framing is how requests and answers are framed.
type Framing uint8

// The framings.
const (
	TCP   Framing = iota // MBAP header
	RTU                  // unit and CRC, also over TCP
	ASCII                // characters and LRC, also over TCP
	UDP                  // MBAP header, each frame a datagram; by Dial alone
)

// Lined reports whether answers have nothing that tells one from another.
func (f Framing) Lined() bool { return f == RTU || f == ASCII }

// append frames an answer.
func (f Framing) append(b []byte, a *Answer) []byte {
	switch f {
	case RTU:
		start := len(b)
		b = append(append(b, a.Unit), a.PDU...)
		sum := crc(b[start:])
		if a.CRCError {
			sum++
		}
		return binary.LittleEndian.AppendUint16(b, sum)
	case ASCII:
		body := append([]byte{a.Unit}, a.PDU...)
		sum := lrc(body)
		if a.CRCError {
			sum++
		}
		start := a.Start
		if start == 0 {
			start = ':'
		}
		return fmt.Appendf(b, "%c%X%02X\r\n", start, body, sum)
	}
	b = binary.BigEndian.AppendUint16(b, a.Transaction)
	b = binary.BigEndian.AppendUint16(b, a.Protocol)
	b = binary.BigEndian.AppendUint16(b, uint16(len(a.PDU)+1+a.LengthError))
	return append(append(b, a.Unit), a.PDU...)
}

// read reads one request.
func (c *peer) read() (transaction uint16, unit byte, err error) {
	switch c.sim.Framing {
	case RTU:
		unit, err = c.readRTU()
		return 0, unit, err
	case ASCII:
		unit, err = c.readASCII()
		return 0, unit, err
	case UDP:
		return c.readDatagram()
	}
	var header [7]byte
	if _, err := io.ReadFull(c.r, header[:]); err != nil {
		return 0, 0, err
	}
	n := int(binary.BigEndian.Uint16(header[4:])) - 1
	if n < 1 || n > 253 || binary.BigEndian.Uint16(header[2:]) != 0 {
		return 0, 0, io.ErrUnexpectedEOF
	}
	c.pdu = append(c.pdu[:0], make([]byte, n)...)
	_, err = io.ReadFull(c.r, c.pdu)
	return binary.BigEndian.Uint16(header[:]), header[6], err
}

// readDatagram reads one request and drops what is none.
func (c *peer) readDatagram() (transaction uint16, unit byte, err error) {
	for {
		var b [512]byte
		n, err := c.conn.Read(b[:])
		if err != nil {
			return 0, 0, err
		}
		if n >= 8 && binary.BigEndian.Uint16(b[2:]) == 0 && int(binary.BigEndian.Uint16(b[4:])) == n-6 {
			c.pdu = append(c.pdu[:0], b[7:n]...)
			return binary.BigEndian.Uint16(b[:]), b[6], nil
		}
	}
}

// readASCII reads a frame and drops what has a wrong LRC.
func (c *peer) readASCII() (byte, error) {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		start := bytes.LastIndexByte(line, ':')
		body, err := hex.AppendDecode(c.pdu[:0], bytes.TrimRight(line[start+1:], "\r\n"))
		if n := len(body) - 1; start >= 0 && err == nil && n >= 2 && lrc(body[:n]) == body[n] {
			c.pdu = body[1:n]
			return body[0], nil
		}
	}
}

// readRTU reads a frame by its structure and drops what has a wrong CRC.
func (c *peer) readRTU() (byte, error) {
	for {
		head, err := c.r.Peek(2)
		if err != nil {
			return 0, err
		}
		n := 8
		switch head[1] {
		case 15, 16:
			if head, err = c.r.Peek(7); err != nil {
				return 0, err
			}
			n = 9 + int(head[6])
		case 20:
			if head, err = c.r.Peek(3); err != nil {
				return 0, err
			}
			n = 5 + int(head[2])
		case 22:
			n = 10
		case 23:
			if head, err = c.r.Peek(11); err != nil {
				return 0, err
			}
			n = 13 + int(head[10])
		case 24:
			n = 6
		case 43:
			n = 7
		case 17:
			n = 4
		}
		frame, err := c.r.Peek(n)
		if err != nil {
			return 0, err
		}
		if crc(frame[:n-2]) != binary.LittleEndian.Uint16(frame[n-2:]) {
			_, _ = c.r.Discard(1)
			continue
		}
		unit := frame[0]
		c.pdu = append(c.pdu[:0], frame[1:n-2]...)
		_, _ = c.r.Discard(n)
		return unit, nil
	}
}

// crc is CRC-16/MODBUS (Modbus over Serial Line V1.02, section 6.2.2).
func crc(data []byte) uint16 {
	sum := uint16(0xffff)
	for _, b := range data {
		sum ^= uint16(b)
		for range 8 {
			low := sum & 1
			sum >>= 1
			if low != 0 {
				sum ^= 0xa001
			}
		}
	}
	return sum
}

// lrc is the sum of ASCII frames (the same, section 6.2.1).
func lrc(data []byte) (sum byte) {
	for _, b := range data {
		sum -= b
	}
	return sum
}
