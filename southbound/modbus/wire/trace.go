package wire

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"fieldbridge/blackbox"
)

// Trace returns stream with every write and read told to tell, as hexadecimal
// bytes, or as characters where a has such; at is where the stream goes.
func Trace(stream Stream, at Address, tell func(string)) Stream {
	t := traced{stream, at, tell}
	if c, ok := stream.(syscall.Conn); ok {
		return tracedConn{t, c}
	}
	return t
}

// Recorded returns dial with what passes on its streams recorded on r's tape of
// that bus. A nil r records nothing.
func Recorded(dial func(context.Context) (Stream, error), bus string, at Address,
	r *blackbox.Recorder) func(context.Context) (Stream, error) {
	tape := r.Tape("bus "+bus, at.String())
	if tape == nil {
		return dial
	}
	return func(ctx context.Context) (Stream, error) {
		stream, err := dial(ctx)
		if err != nil {
			tape.Say(0, "connect: "+cause(err).Error())
			return nil, err
		}
		tape.Say(0, "connected")
		s := recorded{stream, tape}
		if c, ok := stream.(syscall.Conn); ok {
			return recordedConn{s, c}, nil
		}
		return s, nil
	}
}

type recorded struct {
	Stream
	tape *blackbox.Tape
}

// recordedConn is recorded of a stream that can be emptied without waiting.
type recordedConn struct {
	recorded
	syscall.Conn
}

func (r recorded) Write(b []byte) (int, error) {
	r.tape.Add(blackbox.Sent, 0, b, len(b))
	n, err := r.Stream.Write(b)
	if err != nil {
		r.tape.Say(0, "write: "+cause(err).Error())
	}
	return n, err
}

func (r recorded) Read(b []byte) (int, error) {
	n, err := r.Stream.Read(b)
	if n > 0 {
		r.tape.Add(blackbox.Received, 0, b[:n], n)
	}
	if err != nil {
		r.tape.Say(0, "read: "+cause(err).Error())
	}
	return n, err
}

type traced struct {
	Stream
	at   Address
	tell func(string)
}

// tracedConn is traced of a stream that can be emptied without waiting.
type tracedConn struct {
	traced
	syscall.Conn
}

func (t traced) Write(b []byte) (int, error) {
	t.tell(fmt.Sprintf("-> %s   %s", t.show(b), Meaning(t.at, b)))
	n, err := t.Stream.Write(b)
	if err != nil {
		t.tell("-> " + err.Error())
	}
	return n, err
}

func (t traced) Read(b []byte) (int, error) {
	n, err := t.Stream.Read(b)
	if n > 0 {
		t.tell(fmt.Sprintf("<- %s   %s", t.show(b[:n]), Meaning(t.at, b[:n])))
	}
	if err != nil {
		t.tell("<- " + cause(err).Error())
	}
	return n, err
}

// show writes what was on the way.
func (t traced) show(b []byte) string {
	if t.at.ASCII() {
		return strings.Trim(strconv.Quote(string(b)), `"`)
	}
	return fmt.Sprintf("% x", b)
}

// Meaning says what a frame on its way to or from at means, as far as it is one.
func Meaning(at Address, b []byte) string {
	unit, pdu := byte(0), []byte(nil)
	switch {
	case at.ASCII():
		var a ascii
		if a.next(b) == 0 || a.answer == nil {
			return "(part of a frame, or a wrong checksum)"
		}
		unit, pdu = a.parts(a.answer)
	case !at.Numbered() && len(b) >= 4:
		if !rightCRC(b) {
			return "(part of a frame, or a wrong checksum)"
		}
		unit, pdu = b[0], b[1:len(b)-2]
	case at.Numbered() && len(b) >= mbapSize+1:
		unit, pdu = b[6], b[mbapSize:]
	default:
		return "(part of a frame)"
	}
	return fmt.Sprintf("unit %d, %s", unit, Explain(pdu))
}

// functions by code.
var functions = map[byte]string{1: "read coils", 2: "read discrete inputs", 3: "read holding registers",
	4: "read input registers",
	5: "write coil", 6: "write register", 15: "write coils", 16: "write registers", 22: "mask write register",
	23: "read and write registers", 24: "read FIFO", 43: "read identification"}

// exceptions by code (Modbus Application Protocol V1.1b3, section 7).
var exceptions = map[byte]string{1: "illegal function", 2: "illegal data address", 3: "illegal data value",
	4: "device failure",
	5: "acknowledge", 6: "device busy", 8: "memory parity error", 10: "gateway path unavailable",
	11: "gateway target does not respond"}

func exceptionName(code byte) string {
	if name := exceptions[code]; name != "" {
		return name
	}
	return "unknown"
}

// Explain says what a PDU means, for people.
func Explain(pdu []byte) string {
	function := pdu[0] &^ 0x80
	name := functions[function]
	if name == "" {
		name = fmt.Sprintf("function %d", function)
	}
	switch {
	case pdu[0]&0x80 != 0 && len(pdu) > 1:
		return fmt.Sprintf("%s: exception %d, %s", name, pdu[1], exceptionName(pdu[1]))
	case len(pdu) == 5 && function <= 6 || function >= 15 && function <= 16 && len(pdu) >= 5:
		return fmt.Sprintf("%s %d, %d", name, binary.BigEndian.Uint16(pdu[1:]), binary.BigEndian.Uint16(pdu[3:]))
	case function <= 4 && len(pdu) > 2:
		return fmt.Sprintf("%s: %d bytes of data", name, pdu[1])
	}
	return name
}
