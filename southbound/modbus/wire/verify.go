package wire

import (
	"bytes"
	"cmp"
	"encoding/binary"
)

// verify says what is wrong with the answer got to the request asked: goburrow
// itself takes answers of any function and length. Both PDUs have a function code
// and the request's is complete. The carrier threw away what is of another unit.
// size is how many bytes registers have together, 0 where they have two each.
func verify(asked, got []byte, size int) error {
	function := asked[0]
	if got[0] == function|0x80 {
		if len(got) != 2 { // vendors have codes of their own, 0 and 128 among them
			return protocolErrorf("exception of %d bytes % x", len(got), got)
		}
		return nil
	}
	if got[0] != function {
		return protocolErrorf("answer with function %d to function %d", got[0], function)
	}
	if len(got) < 2 {
		return protocolErrorf("answer to function %d without data", function)
	}
	switch function {
	case 1, 2:
		return verifyRead(got, (int(binary.BigEndian.Uint16(asked[3:]))+7)/8)
	case 3, 4:
		return verifyRead(got, cmp.Or(size, 2*int(binary.BigEndian.Uint16(asked[3:]))))
	case 23:
		return verifyRead(got, 2*int(binary.BigEndian.Uint16(asked[3:])))
	case 5, 6, 15, 16:
		return verifyEcho(got, asked[:5])
	case 22:
		return verifyEcho(got, asked)
	}
	return nil
}

func verifyRead(got []byte, bytes int) error {
	if int(got[1]) != bytes || len(got) != 2+bytes {
		err := protocolErrorf("answer with %d bytes, byte count %d: %d were asked", len(got)-2, got[1], bytes)
		if int(got[1]) == len(got)-2 {
			return &SizeError{int(got[1]), err}
		}
		return err
	}
	return nil
}

func verifyEcho(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return &EchoError{bytes.Clone(got), bytes.Clone(want)}
	}
	return nil
}
