package wire

import (
	"bytes"
	"testing"
)

// FuzzMBAP: whatever arrives, in whatever pieces, is either an answer with the
// request's transaction id, or skipped, or refused; never more bytes are used
// than there are.
func FuzzMBAP(f *testing.F) {
	f.Add([]byte{0, 2, 0, 0, 0, 5, 1, 3, 2, 0, 9}, 3)
	f.Add([]byte{0, 1, 0, 0, 0, 3, 1, 0x83, 2, 0, 2, 0, 0, 0, 3, 1, 0x83, 2}, 7)
	f.Add([]byte{0xff, 0xff, 0, 0, 0, 5, 1, 3, 2, 0, 9}, 11)
	f.Fuzz(func(t *testing.T, received []byte, split int) {
		m := &mbap{}
		request := m.encode(nil, 1, 3, []byte{0, 0, 0, 1})
		m.stamp(request)
		m.stamp(request)
		whole, used, err := m.cut(request, received)
		if used > len(received) {
			t.Fatalf("used %d of %d bytes", used, len(received))
		}
		if whole != nil {
			if !bytes.Equal(whole[:2], request[:2]) || whole[6] != 1 || len(whole) < 9 || len(whole) > maxADU {
				t.Fatalf("answer % x to request % x", whole, request)
			}
			_, pdu := m.parts(whole)
			_ = verify(request[mbapSize:], pdu, 0)
		}
		// In two pieces it is the same.
		if split < 0 || split > len(received) {
			return
		}
		first, used1, err1 := m.cut(request, received[:split])
		if first == nil && err1 == nil {
			rest, _, err2 := m.cut(request, received[used1:])
			if !bytes.Equal(rest, whole) || (err2 == nil) != (err == nil) {
				t.Fatalf("in pieces: % x, %v; at once: % x, %v", rest, err2, whole, err)
			}
		}
	})
}
