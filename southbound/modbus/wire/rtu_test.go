package wire

import (
	"bytes"
	"testing"
	"time"
)

func TestCRC(t *testing.T) {
	// Modbus over Serial Line V1.02, appendix B: 02 07 gives 0x1241, low byte first.
	if got := crc16([]byte{2, 7}); got != 0x1241 {
		t.Errorf("%#x, want 0x1241", got)
	}
}

func TestSilence(t *testing.T) {
	for _, test := range []struct {
		s             Serial
		char, silence time.Duration
	}{
		{Serial{Baud: 9600, DataBits: 8, Parity: EvenParity, StopBits: 1}, 11 * time.Second / 9600,
			7 * (11 * time.Second / 9600) / 2},
		{Serial{Baud: 19200, DataBits: 8, Parity: NoParity, StopBits: 2}, 11 * time.Second / 19200,
			7 * (11 * time.Second / 19200) / 2},
		{Serial{Baud: 115200, DataBits: 8, Parity: NoParity, StopBits: 1}, 10 * time.Second / 115200,
			1750 * time.Microsecond},
	} {
		if test.s.Char() != test.char || test.s.Silence() != test.silence {
			t.Errorf("%+v: %v and %v, want %v and %v", test.s, test.s.Char(), test.s.Silence(), test.char, test.silence)
		}
	}
}

// FuzzRTU: whatever arrives, only a frame with a right CRC and the form of the
// answer is one, and no more bytes are used than there are.
func FuzzRTU(f *testing.F) {
	f.Add(byte(3), []byte{0, 0, 0, 1}, []byte{1, 3, 2, 0, 9, 0x79, 0x82})
	f.Add(byte(1), []byte{0, 0, 0, 9}, []byte{'x', 1, 0x81, 2, 0xc1, 0x91})
	f.Add(byte(43), []byte{14, 1, 0}, []byte{1, 43, 14, 1, 1, 0, 0, 1, 0, 2, 'a', 'b', 0, 0})
	f.Add(byte(22), []byte{0, 0, 0, 9, 0, 0}, []byte{1, 22})
	f.Add(byte(65), []byte{}, []byte{1, 65, 1, 2, 3, 0x80, 0xc0})
	f.Fuzz(func(t *testing.T, function byte, data, received []byte) {
		if len(data) > 250 || function&0x80 != 0 {
			return
		}
		r := &rtu{}
		request := r.encode(nil, 1, function, data)
		answer, used, err := r.cut(request, received)
		if used > len(received) || err != nil {
			t.Fatalf("used %d of %d bytes, %v", used, len(received), err)
		}
		if answer == nil {
			return
		}
		if !rightCRC(answer) || len(answer) < minRTU || !bytes.Contains(received, answer) {
			t.Fatalf("answer % x", answer)
		}
		_, pdu := r.parts(answer)
		if asked := request[1 : len(request)-2]; len(asked) >= 5 { // goburrow's own are complete
			_ = verify(asked, pdu, 0)
		}
	})
}
