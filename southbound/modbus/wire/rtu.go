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
	sizes  sizes
}

// sizes are how many bytes of data the answers to some requests for registers have,
// where those are not of two bytes each; by the request's frame.
type sizes map[string]int

const (
	minRTU = 5 // an exception

	// A request that says how many of what it asks for is at least so long.
	leastRequest = 8
	maxRTU       = 256 // Modbus over Serial Line V1.02, section 2.5.1
)

func (*rtu) encode(buf []byte, unit, function byte, data []byte) []byte {
	buf = append(buf[:0], unit, function)
	buf = append(buf, data...)
	return binary.LittleEndian.AppendUint16(buf, crc16(buf))
}

func (*rtu) stamp([]byte) {}

func (*rtu) put(frame []byte) []byte { return frame }

func (*rtu) chars(n int) int { return n }

func (*rtu) parts(frame []byte) (byte, []byte) { return frame[0], frame[1 : len(frame)-2] }

func (r *rtu) reset() { r.echoes = false }

// cut finds the first frame in what was received that can be the answer, and
// has a right CRC.
func (r *rtu) cut(request, received []byte) (answer []byte, used int, err error) {
	echo := bytes.Index(received, request)
	repeats := mayRepeat(request[1])
	start := 0
	switch {
	case echo >= 0 && !repeats:
		r.echoes = true
		start = echo + len(request)
	case echo >= 0 && r.echoes:
		start = echo + len(request)
	case r.echoes && repeats:
		return nil, 0, nil // the echo comes first
	}
	for i := start; i+minRTU <= len(received); i++ {
		n := r.sizes.answerSize(request, received[i:])
		if n == anySize {
			n = ownSize(received[i:])
		}
		if n > 0 && n <= len(received)-i && rightCRC(received[i:i+n]) {
			return received[i : i+n], i + n, nil
		}
	}
	if len(received) > 2*maxADU-maxRTU {
		return nil, len(received) - maxRTU, nil // noise: keep what a frame may begin in
	}
	return nil, 0, nil
}

// mayRepeat reports whether the answer to a request of that function may be its
// copy, as one of the adapter is. What is not of the specification may be so.
func mayRepeat(function byte) bool {
	switch function {
	case 1, 2, 3, 4, 7, 11, 12, 15, 16, 17, 20, 23, 24, 43:
		return false
	}
	return true
}

// anySize is the length of an answer whose form is not known.
const anySize = -1

// ownSize returns the length of the shortest frame with a right CRC that b begins
// with, 0 if there is none.
func ownSize(b []byte) int {
	for n := minRTU; n <= min(len(b), maxRTU); n++ {
		if rightCRC(b[:n]) {
			return n
		}
	}
	return 0
}

// answerSize returns how long the answer to request that begins at b is, 0 if
// none can begin so; anySize is that its function does not tell.
func (s sizes) answerSize(request, b []byte) int {
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
	if len(request) < leastRequest {
		function = 0 // by hand: no request of those that tell how long their answer is
	}
	switch function {
	case 1, 2, 3, 4:
		n := s.readBytes(request)
		if int(b[2]) != n {
			return 0
		}
		return 5 + n
	case 23:
		return 5 + s.readBytes(request)
	case 5, 6, 11, 15, 16:
		return 8
	case 7:
		return 5
	case 8:
		return max(minRTU, len(request))
	case 12, 17, 20, 21:
		return 5 + int(b[2]) // a byte count
	case 22:
		return 10
	case 24:
		return 6 + int(binary.BigEndian.Uint16(b[2:]))
	case 43:
		if b[2] == 14 {
			return identificationSize(b)
		}
	}
	return anySize
}

// readBytes returns how many bytes of data the answer to a read has.
func (s sizes) readBytes(request []byte) int {
	if n, ok := s[string(request)]; ok {
		return n
	}
	n := int(binary.BigEndian.Uint16(request[4:6]))
	if request[1] <= 2 {
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
func (s sizes) wanted(request []byte) int {
	switch function := request[1]; {
	case len(request) < leastRequest:
		return minRTU
	case function <= 4 || function == 23:
		return 5 + s.readBytes(request)
	case function == 22:
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
