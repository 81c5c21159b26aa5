package wire

import (
	"bytes"
	"encoding/hex"
)

// ascii is Modbus ASCII (Modbus over Serial Line V1.02, section 2.5.2): unit and
// PDU in hexadecimal characters between a colon and CR LF, with a sum of 8 bits.
// Inside this package its frames are those of RTU, whose checksum is not looked
// at; so what holds for answers without a transaction id holds here.
type ascii struct {
	sizes sizes
	rtu
	out    []byte // what goes out
	answer []byte // the last frame that came
}

const (
	asciiStart = ':'
	ablStart   = '>' // ABL's wallboxes begin their answers with it
)

// put writes frame as characters.
func (a *ascii) put(frame []byte) []byte {
	body := frame[:len(frame)-2]
	a.out = append(a.out[:0], asciiStart)
	for _, b := range body {
		a.out = append(a.out, hexDigits[b>>4], hexDigits[b&15])
	}
	sum := lrc(body)
	a.out = append(a.out, hexDigits[sum>>4], hexDigits[sum&15], '\r', '\n')
	return a.out
}

const hexDigits = "0123456789ABCDEF"

// chars counts the colon, two for each byte, with one sum instead of a checksum
// of two, and CR LF.
func (*ascii) chars(n int) int { return 2*n + 1 }

// cut finds the first frame that can be the answer and has a right sum. One that
// is cut short ends where the next begins.
func (a *ascii) cut(request, received []byte) (answer []byte, used int, err error) {
	asked := request[:len(request)-2]
	echoed := false
	for at := 0; ; {
		n := a.next(received[at:])
		if n == 0 {
			break
		}
		at += n
		if a.answer == nil {
			continue
		}
		if !echoed && bytes.Equal(a.answer[:len(a.answer)-2], asked) && (a.echoes || !mayRepeat(request[1])) {
			a.echoes, echoed = true, true
			continue
		}
		if (echoed || !a.echoes || !mayRepeat(request[1])) && a.sizes.fits(a.answer, request) {
			return a.answer, at, nil
		}
	}
	if most := 2 * (2*maxRTU + 1); len(received) > most {
		return nil, len(received) - most/2, nil // noise: keep what a frame may begin in
	}
	return nil, 0, nil
}

// next finds the end of the first frame, 0 if it has none yet, and has answer set
// to the frame; to nil if it is broken.
func (a *ascii) next(received []byte) int {
	end := bytes.IndexByte(received, '\n')
	if end < 0 {
		return 0
	}
	text := received[:end]
	start := max(bytes.LastIndexByte(text, asciiStart), bytes.LastIndexByte(text, ablStart))
	text = bytes.TrimSuffix(text[start+1:], []byte{'\r'})
	frame, err := hex.AppendDecode(a.answer[:0], text)
	n := len(frame) - 1
	if a.answer = nil; start >= 0 && err == nil && n >= minRTU-2 && lrc(frame[:n]) == frame[n] {
		a.answer = append(frame[:n], 0, 0)
	}
	return end + 1
}

// lrc is the sum that makes all bytes of a frame add up to 0 (Modbus over Serial
// Line V1.02, section 6.2.1).
func lrc(data []byte) (sum byte) {
	for _, b := range data {
		sum -= b
	}
	return sum
}
