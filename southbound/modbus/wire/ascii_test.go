package wire

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// TestASCIIFrames: Modbus over Serial Line V1.02, section 2.5.2, and what arrives
// around frames.
func TestASCIIFrames(t *testing.T) {
	a := &ascii{}
	request := a.encode(nil, 1, 3, []byte{0, 0, 0, 1})
	if got := string(a.put(request)); got != ":010300000001FB\r\n" || len(got) != a.chars(len(request)) {
		t.Fatalf("request %q", got)
	}
	const answer = ":0103020009F1\r\n"
	for _, test := range []struct {
		name, received, want string
	}{
		{"answer", answer, "0103020009"},
		{"small letters", ":0103020009f1\r\n", "0103020009"},
		{"ABL", ">0103020009F1\r\n", "0103020009"},
		{"in parts", ":01030200", ""},
		{"without an end", ":0103020009F1\r", ""},
		{"noise before", "\x00\xff:01" + answer, "0103020009"},
		{"noise of hexadecimal", "0103020009F1\r\n" + answer, "0103020009"},
		{"another's before", ":0203020008F1\r\n" + answer, "0103020009"},
		{"after a broken one", ":0103020009F2\r\n" + answer, "0103020009"},
		{"wrong sum", ":0103020009F2\r\n", ""},
		{"odd", ":0103020009F\r\n", ""},
		{"of another length", ":01030400090009E6\r\n", ""},
		{"an RTU frame", "\x01\x03\x02\x00\x09\x79\x82", ""},
		{"exception", ":0183027A\r\n", "018302"},
		{"echo", ":010300000001FB\r\n" + answer, "0103020009"},
		{"echo alone", ":010300000001FB\r\n", ""},
	} {
		a := &ascii{}
		got, used, err := a.cut(request, []byte(test.received))
		if err != nil || used > len(test.received) {
			t.Fatalf("%s: %v, used %d", test.name, err, used)
		}
		text := ""
		if got != nil {
			text = hex.EncodeToString(got[:len(got)-2])
		}
		if text != test.want {
			t.Errorf("%s: %q, want %q", test.name, text, test.want)
		}
	}
}

// TestASCIIEcho: once it is known that requests come back, the first copy of a
// write is the echo and the second the answer.
func TestASCIIEcho(t *testing.T) {
	a := &ascii{}
	read, write := a.encode(nil, 1, 3, []byte{0, 0, 0, 1}), a.encode(nil, 1, 6, []byte{0, 0, 0, 1})
	echo := bytes.Clone(a.put(write))
	if got, _, _ := a.cut(write, echo); got == nil {
		t.Error("without echoes, the answer to a write is its copy")
	}
	a.cut(read, append(bytes.Clone(a.put(read)), ":0103020009F1\r\n"...))
	if got, _, _ := a.cut(write, echo); got != nil {
		t.Error("the echo was taken for the answer")
	}
	if got, _, _ := a.cut(write, append(echo, echo...)); got == nil {
		t.Error("the answer after the echo was not found")
	}
}

// FuzzASCII: whatever arrives, only a frame with a right sum and the form of the
// answer is one, and no more bytes are used than there are.
func FuzzASCII(f *testing.F) {
	f.Add(byte(3), []byte{0, 0, 0, 1}, []byte(":0103020009F1\r\n"))
	f.Add(byte(3), []byte{0, 0, 0, 1}, []byte("x:01:>0183027A\r\n:\n\n"))
	f.Add(byte(6), []byte{0, 0, 0, 1}, []byte(":010600000001F8\r\n:010600000001F8\r\n"))
	f.Add(byte(65), []byte{}, []byte(":014101BD\r\n"))
	f.Add(byte(3), []byte{0}, []byte(":010300FC\r\n"))
	f.Fuzz(func(t *testing.T, function byte, data, received []byte) {
		if len(data) > 250 || function&0x80 != 0 {
			return
		}
		a := &ascii{}
		request := a.encode(nil, 1, function, data)
		out := a.put(request)
		n := a.next(out)
		if long := len(data) > 0; n != len(out) || long && !bytes.HasPrefix(a.answer, request[:len(request)-2]) {
			t.Fatalf("%q is read as % x", out, a.answer)
		}
		answer, used, err := a.cut(request, received)
		if used > len(received) || err != nil {
			t.Fatalf("used %d of %d bytes, %v", used, len(received), err)
		}
		if answer == nil {
			return
		}
		body := answer[:len(answer)-2]
		text := hex.EncodeToString(append(bytes.Clone(body), lrc(body)))
		if !sizes(nil).fits(answer, request) || !bytes.Contains(bytes.ToLower(received), []byte(text)) {
			t.Fatalf("answer % x", answer)
		}
		_, pdu := a.parts(answer)
		if asked := request[1 : len(request)-2]; len(asked) >= 5 { // goburrow's own are complete
			_ = verify(asked, pdu, 0)
		}
	})
}
