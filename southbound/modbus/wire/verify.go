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
	if len(got) < 2 {
		return wholeErrorf("answer of function %d to function %d without data", got[0], function)
	}
	if got[0]&0x80 != 0 {
		// Vendors have codes of their own, 0 and 128 among them, and some name another
		// function than was asked: the transaction says that it is ours.
		return nil
	}
	if got[0] != function {
		switch function {
		case 5, 6, 15, 16, 22: // it may be done all the same
			return &EchoError{bytes.Clone(got), bytes.Clone(asked[:min(len(asked), 5)])}
		}
		return wholeErrorf("answer with function %d to function %d", got[0], function)
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
	if int(got[1]) != bytes || len(got) < 2+bytes {
		err := wholeErrorf("answer with %d bytes, byte count %d: %d were asked", len(got)-2, got[1], bytes)
		if int(got[1]) == len(got)-2 {
			return &SizeError{int(got[1]), err}
		}
		return err
	}
	return nil
}

// trimmed returns an answer without bytes behind it: some converters leave the
// checksum of the line there.
func trimmed(pdu []byte) []byte {
	n := len(pdu)
	switch function := pdu[0]; {
	case function&0x80 != 0:
		n = 2
	case (function <= 4 || function == 23) && len(pdu) > 1:
		n = 2 + int(pdu[1])
	case function == 5 || function == 6 || function == 15 || function == 16:
		n = 5
	case function == 22:
		n = 7
	}
	return pdu[:min(n, len(pdu))]
}

func verifyEcho(got, want []byte) error {
	if !bytes.HasPrefix(got, want) {
		return &EchoError{bytes.Clone(got), bytes.Clone(want)}
	}
	return nil
}
