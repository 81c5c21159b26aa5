package wire

import (
	"bytes"
	"encoding/binary"
)

// rtu is Modbus over a serial line: unit, PDU and CRC, with nothing that tells
// one answer from another. So an answer must have exactly the form that the
// request asks for, and bytes around it are thrown away.
type rtu struct {
	echoes bool // the adapter was seen to return what is sent
}

const (
	minRTU = 5   // an exception
	maxRTU = 256 // Modbus over Serial Line V1.02, section 2.5.1
)

func (*rtu) encode(buf []byte, unit, function byte, data []byte) []byte {
	buf = append(buf[:0], unit, function)
	buf = append(buf, data...)
	return binary.LittleEndian.AppendUint16(buf, crc16(buf))
}

func (*rtu) stamp([]byte) {}

func (*rtu) parts(frame []byte) (byte, []byte) { return frame[0], frame[1 : len(frame)-2] }

func (r *rtu) reset() { r.echoes = false }

// cut finds the first frame in what was received that can be the answer, and
// has a right CRC.
func (r *rtu) cut(request, received []byte) (answer []byte, used int, err error) {
	echo := bytes.Index(received, request)
	single := request[1] == 5 || request[1] == 6 || request[1] == 22 // the answer repeats the request
	start := 0
	switch {
	case echo >= 0 && !single:
		r.echoes = true
		start = echo + len(request)
	case echo >= 0 && r.echoes:
		start = echo + len(request)
	case r.echoes && single:
		return nil, 0, nil // the echo comes first
	}
	for i := start; i+minRTU <= len(received); i++ {
		if n := answerSize(request, received[i:]); n > 0 && n <= len(received)-i && rightCRC(received[i:i+n]) {
			return received[i : i+n], i + n, nil
		}
	}
	if len(received) > 2*maxADU-maxRTU {
		return nil, len(received) - maxRTU, nil // noise: keep what a frame may begin in
	}
	return nil, 0, nil
}

// answerSize returns how long the answer to request that begins at b is, 0 if
// none can begin so.
func answerSize(request, b []byte) int {
	if b[0] != request[0] {
		return 0
	}
	function := request[1]
	if b[1] == function|0x80 {
		return minRTU
	}
	if b[1] != function {
		return 0
	}
	switch function {
	case 1, 2, 3, 4:
		n := readBytes(function, request[4:6])
		if int(b[2]) != n {
			return 0
		}
		return 5 + n
	case 5, 6, 15, 16:
		return 8
	case 22:
		return 10
	case 43:
		return identificationSize(b)
	}
	return 5 + int(b[2]) // functions that answer with a byte count
}

// readBytes returns how many bytes of data the answer to a read has.
func readBytes(function byte, count []byte) int {
	n := int(binary.BigEndian.Uint16(count))
	if function <= 2 {
		return (n + 7) / 8
	}
	return 2 * n
}

// identificationSize returns the length of an answer to function 43/14, read
// device identification, by its list of objects; more than there is when b ends
// before.
func identificationSize(b []byte) int {
	const head = 8 // unit, 43, 14, code, conformity, more, next, number of objects
	if len(b) < head {
		return maxRTU
	}
	at := head
	for range b[head-1] {
		if at+2 > len(b) {
			return maxRTU
		}
		at += 2 + int(b[at+1])
	}
	return at + 2
}

// wanted is how long a good answer to request is, as far as that is known.
func wanted(request []byte) int {
	switch request[1] {
	case 1, 2, 3, 4:
		return 5 + readBytes(request[1], request[4:6])
	case 22:
		return 10
	}
	return 8
}

func rightCRC(frame []byte) bool {
	n := len(frame) - 2
	return crc16(frame[:n]) == binary.LittleEndian.Uint16(frame[n:])
}

// crcTable is CRC-16/MODBUS by byte, polynomial 0xA001 reflected.
var crcTable = func() (t [256]uint16) {
	for i := range t {
		sum := uint16(i)
		for range 8 {
			if sum&1 != 0 {
				sum = sum>>1 ^ 0xa001
			} else {
				sum >>= 1
			}
		}
		t[i] = sum
	}
	return t
}()

// crc16 is the checksum of RTU frames (Modbus over Serial Line V1.02, section
// 6.2.2).
func crc16(data []byte) uint16 {
	sum := uint16(0xffff)
	for _, b := range data {
		sum = sum>>8 ^ crcTable[byte(sum)^b]
	}
	return sum
}
