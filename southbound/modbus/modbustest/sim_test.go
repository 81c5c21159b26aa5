package modbustest

import (
	"context"
	"encoding/hex"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// ask sends one request PDU to unit 1 and returns the answer's PDU, both in
// hexadecimal.
func ask(t *testing.T, conn net.Conn, pdu string) string {
	t.Helper()
	body, err := hex.DecodeString(strings.ReplaceAll(pdu, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	frame := append([]byte{0, 1, 0, 0, 0, byte(len(body) + 1), 1}, body...)
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := conn.Write(frame); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 7)
	if _, err := io.ReadFull(conn, head); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, int(head[5])-1)
	if _, err := io.ReadFull(conn, answer); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(answer)
}

// TestSpecificationExamples are the examples of the Modbus Application Protocol
// V1.1b3, sections 6.1 to 6.21.
func TestSpecificationExamples(t *testing.T) {
	sim := New()
	u := sim.Unit(1)
	for i, on := range []bool{true, false, true, true, false, false, true, true, true, true, false, true, false, true,
		true, false, true, false, true} {
		u.SetBit(Coil, 19+i, on)
	}
	u.Set(Holding, 107, 555, 0, 100)
	u.Set(Input, 8, 10)
	u.Identify("Company")
	conn, err := net.Dial("tcp", sim.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, test := range []struct{ name, request, answer string }{
		{"read coils", "01 0013 0013", "0103cd6b05"},
		{"read holding registers", "03 006b 0003", "0306022b00000064"},
		{"read input registers", "04 0008 0001", "0402000a"},
		{"write coil", "05 00ac ff00", "0500acff00"},
		{"write register", "06 0001 0003", "0600010003"},
		{"write coils", "0f 0013 000a 02 cd01", "0f0013000a"},
		{"write registers", "10 0001 0002 04 000a0102", "1000010002"},
		{"mask write", "16 0001 00f2 0025", "16000100f20025"},
		{"identification", "2b 0e 01 00", "2b0e010100000100" + "07" + hex.EncodeToString([]byte("Company"))},
		{"too many", "03 0000 007e", "8303"},
		{"beyond the table", "03 ffff 0002", "8302"},
		{"unknown function", "64 0000", "e401"},
	} {
		if got := ask(t, conn, test.request); got != test.answer {
			t.Errorf("%s: %s, want %s", test.name, got, test.answer)
		}
	}
	if got := u.Get(Holding, 1, 2); !slices.Equal(got, []uint16{0x000a&0x00f2 | 0x0025&^0x00f2, 0x0102}) {
		t.Errorf("holding 1+2 = %x", got)
	}
	if n := u.CountOf(Request{1, 3, 107, 3}); n != 1 || u.Count() != 12 {
		t.Errorf("%d of %d requests remembered", n, u.Count())
	}
}

func TestRefuseAndAccept(t *testing.T) {
	sim := New()
	sim.Unit(1)
	address := sim.Start(t)
	sim.Refuse()
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("connected while it refuses")
	}
	if err := sim.Accept(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := ask(t, conn, "03 0000 0001"); got != "03020000" {
		t.Error(got)
	}
}

// TestRemembersTheLast requests, and no more.
func TestRemembersTheLast(t *testing.T) {
	u := &Unit{}
	for i := range remembered + 10 {
		u.rememberLocked(Request{Address: i})
	}
	got := u.Requests()
	if len(got) != remembered || got[0].Address != 10 || got[remembered-1].Address != remembered+9 {
		t.Errorf("%d, from %d to %d", len(got), got[0].Address, got[len(got)-1].Address)
	}
	u.Forget()
	if u.Count() != 0 || len(u.Requests()) != 0 {
		t.Error("not forgotten")
	}
}

func TestRunEnds(t *testing.T) {
	sim := New()
	if _, err := sim.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sim.Run(ctx); err != nil {
		t.Error(err)
	}
}

// FuzzSession: whatever is sent, the simulator answers or hangs up.
func FuzzSession(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1}, uint8(TCP))
	f.Add([]byte{1, 3, 0, 0, 0, 1, 0x84, 0x0a}, uint8(RTU))
	f.Add([]byte{0, 1, 0, 0, 0, 3, 1, 16, 0}, uint8(TCP))
	f.Add([]byte(":010300000001FB\r\n"), uint8(ASCII))
	f.Fuzz(func(t *testing.T, sent []byte, framing uint8) {
		sim := New()
		sim.Framing = Framing(framing % 4)
		sim.Unit(1)
		up, down := newHalf(), newHalf()
		up.write(sent)
		up.close()
		sim.ServeConn(context.Background(), &pipe{r: up, w: down})
	})
}
