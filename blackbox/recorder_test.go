package blackbox

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// The ring keeps the newest frames, whole and in order, whatever their sizes.
func TestTapeKeepsTheNewest(t *testing.T) {
	r := New()
	tape := r.Tape("bus plc", "tcp://plc:502")
	want := [][]byte{}
	for i := range 3000 {
		data := bytes.Repeat([]byte{byte(i)}, (i*37)%(mostFrame+100))
		tape.Add(Sent, uint32(i), data, len(data))
		want = append(want, data[:min(len(data), mostFrame)])
		if i%500 == 0 || i > 2990 {
			got := r.Recordings()[0].Frames
			kept := 0
			for j, f := range got {
				n := len(want) - len(got) + j
				if !bytes.Equal(f.Data, want[n]) || f.Conn != uint32(n) || f.Size != (n*37)%(mostFrame+100) {
					t.Fatalf("after %d, frame %d: %d bytes, connection %d", i, j, len(f.Data), f.Conn)
				}
				kept += head + len(f.Data)
			}
			if len(got) == 0 || kept > tapeSize || i > 2990 && kept < tapeSize-mostFrame-head {
				t.Fatalf("after %d: %d frames, %d bytes", i, len(got), kept)
			}
		}
	}
}

func TestFreeze(t *testing.T) {
	r := New()
	tape := r.Tape("uplink", "a")
	tape.Say(tape.Conn("connected"), "first")
	if !r.Freeze("uplink", "uplink_down") || r.Freeze("bus x", "bus_down") {
		t.Error("what is frozen")
	}
	tape.Say(1, "second")
	all := r.Recordings()
	if len(all) != 2 || all[0].Fault != "uplink_down" || len(all[0].Frames) != 2 || all[1].Fault != "" ||
		len(all[1].Frames) != 3 {
		t.Errorf("recordings: %+v", all)
	}
}

// However many tapes there are, they do not have more than was promised; and a
// gateway without a recorder records nothing.
func TestBounds(t *testing.T) {
	r := New()
	for i := range 10 * mostTapes {
		tape := r.Tape(fmt.Sprint(i), "a")
		for range 40 {
			tape.Add(Sent, 0, make([]byte, mostFrame), mostFrame)
		}
	}
	bytes := 0
	for _, tape := range r.tapes {
		bytes += len(tape.ring)
	}
	if most := mostBytes + mostTapes*leastSize; len(r.tapes) != mostTapes || bytes > most {
		t.Errorf("%d tapes with %d bytes, of at most %d", len(r.tapes), bytes, most)
	}
	var none *Recorder
	none.Tape("a", "b").Say(none.Tape("a", "b").Conn("x"), "y")
	if none.Freeze("a", "b") || none.Recordings() != nil {
		t.Error("no recorder records")
	}
	if c, _ := net.Pipe(); PacketConn(c, nil, "") != c {
		t.Error("a connection without a tape is wrapped")
	}
}

// TestTapeIsShared is for the race detector.
func TestTapeIsShared(t *testing.T) {
	r := New()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				r.Tape("a", "b").Say(1, "text")
				r.Freeze("a", "why")
				r.Recordings()
			}
		})
	}
	all.Wait()
}

// packet returns a packet of a body.
func packet(first byte, body string) string {
	return string(binary.AppendUvarint([]byte{first}, uint64(len(body)))) + body
}

// packets of a session, with secrets in each place where one may stand.
var packets = []string{
	packet(0x10, "\x00\x04MQTT\x05\xc6\x00\x1e\x0c\x26\x00\x01k\x00\x06SECRET\x00\x02me\x00\x00\x06SECRET\x00\x06SECRET"+
		"\x00\x06SECRET\x00\x06SECRET"),
	packet(0x20, "\x00\x00\x09\x1f\x00\x06SECRET"),
	packet(0x32, "\x00\x03a/b\x00\x07\x06\x09\x00\x03SECSECRET"),
	packet(0x30, "\x00\x03a/bSECRET"),
	packet(0x40, "\x00\x07"),
	packet(0x82, "\x00\x01\x00\x00\x08SECRET/a\x01"),
	packet(0xf0, "\x18\x08\x16\x00\x06SECRET"),
	packet(0x30, "\x00\x01t"+strings.Repeat("SECRET..", 248)),
	packet(0xe0, ""),
}

// No secret is recorded, whatever the sizes of the reads.
func TestNoSecrets(t *testing.T) {
	stream := strings.Join(packets, "")
	var first string
	for _, step := range []int{len(stream), 1, 2, 3, 7, 100, 600} {
		r := New()
		p := NewPackets(r.Tape("uplink", "mqtt"), Received, 1)
		for b := []byte(stream); len(b) > 0; b = b[min(step, len(b)):] {
			p.Write(b[:min(step, len(b))])
		}
		var text strings.Builder
		for _, f := range r.Recordings()[0].Frames {
			fmt.Fprintf(&text, "%q %d %s\n", f.Data, f.Size, Outline(f.Data, f.Size))
		}
		if first == "" {
			first = text.String()
		}
		if text.String() != first {
			t.Errorf("steps of %d: %s", step, text.String())
		}
	}
	if strings.Contains(first, "SECRE") {
		t.Errorf("a secret:\n%s", first)
	}
	for _, want := range []string{"CONNECT as me", "CONNACK 0x00", "PUBLISH a/b, QoS 1, id 7, 22 bytes",
		"PUBLISH a/b, QoS 0, 13 bytes", "PUBACK id 7", "SUBSCRIBE id 1", "AUTH", "PUBLISH t, QoS 0", "DISCONNECT"} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in\n%s", want, first)
		}
	}
}

// FuzzPackets feeds what is no MQTT: nothing breaks, and what is recorded is a
// beginning of each packet.
func FuzzPackets(f *testing.F) {
	for _, p := range packets {
		f.Add([]byte(p), 3)
	}
	f.Add([]byte("\x10\xff\xff\xff\xff\x01"), 1)
	f.Add([]byte("\x30\x01\x00"), 1)
	f.Fuzz(func(t *testing.T, stream []byte, step int) {
		r := New()
		p := NewPackets(r.Tape("uplink", "mqtt"), Sent, 1)
		step = max(step, 1)
		for b := stream; len(b) > 0; b = b[min(step, len(b)):] {
			p.Write(b[:min(step, len(b))])
		}
		if len(p.begun) > mostOutline {
			t.Errorf("%d bytes are kept", len(p.begun))
		}
		for _, f := range r.Recordings()[0].Frames {
			if len(f.Data) > f.Size {
				t.Errorf("%d bytes of %d", len(f.Data), f.Size)
			}
			Outline(f.Data, f.Size)
		}
	})
}

// BenchmarkAdd is what a Modbus request costs, BenchmarkPublish a packet.
func BenchmarkAdd(b *testing.B) {
	tape := New().Tape("bus", "tcp://a")
	frame := make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		tape.Add(Sent, 0, frame, len(frame))
	}
}

func BenchmarkPublish(b *testing.B) {
	p := NewPackets(New().Tape("uplink", "mqtt"), Sent, 1)
	packet := []byte(packets[2])
	b.ReportAllocs()
	for b.Loop() {
		p.Write(packet)
	}
}

// TestShed: where memory is short tapes keep their newest frames, whole and in order, and
// the copies of faults; then they grow again.
func TestShed(t *testing.T) {
	r := New()
	tape := r.Tape("bus plc", "tcp://plc:502")
	next := 0
	fill := func() {
		for range 100 {
			tape.Add(Sent, uint32(next), bytes.Repeat([]byte{byte(next)}, 1000), 1000)
			next++
		}
	}
	frames := func(recording int) int {
		t.Helper()
		all := r.Recordings()[recording].Frames
		for i, f := range all {
			n := next - len(all) + i
			if recording > 0 && (f.Conn != uint32(n) || !bytes.Equal(f.Data, bytes.Repeat([]byte{byte(n)}, 1000))) {
				t.Fatalf("frame %d of %d is %d", i, len(all), f.Conn)
			}
		}
		return len(all)
	}
	fill()
	r.Freeze("bus plc", "bus_down")
	many := frames(1)
	if gave := r.Shed(); gave != tapeSize-leastSize || r.Shed() != 0 {
		t.Errorf("it gave %d bytes", gave)
	}
	if n := frames(1); n != leastSize/(head+1000) || frames(0) != many {
		t.Errorf("%d frames are left, %d of the fault", n, frames(0))
	}
	late := r.Tape("mqtt local", "mqtt")
	late.Add(Sent, 1, make([]byte, 2000), 2000)
	late.Add(Sent, 2, make([]byte, 2000), 2000)
	late.Add(Sent, 3, make([]byte, 2000), 2000)
	if n := len(r.Recordings()[2].Frames); n != 2 {
		t.Errorf("a tape that is made meanwhile has %d frames", n)
	}
	fill()
	if n := frames(1); n != leastSize/(head+1000) {
		t.Errorf("it grows to %d frames", n)
	}
	r.Regain()
	fill()
	if n := frames(1); n != many {
		t.Errorf("%d frames after, %d before", n, many)
	}
	var none *Recorder
	if none.Regain(); none.Shed() != 0 {
		t.Error("none gives something")
	}
}
