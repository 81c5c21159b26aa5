package wire

import (
	"encoding/binary"
	"fmt"
	"syscall"
)

// Trace returns stream with every write and read told to tell, as hexadecimal
// bytes; rtu is how a write is explained.
func Trace(stream Stream, rtu bool, tell func(string)) Stream {
	t := traced{stream, rtu, tell}
	if c, ok := stream.(syscall.Conn); ok {
		return tracedConn{t, c}
	}
	return t
}

type traced struct {
	Stream
	rtu  bool
	tell func(string)
}

// tracedConn is traced of a stream that can be emptied without waiting.
type tracedConn struct {
	traced
	syscall.Conn
}

func (t traced) Write(b []byte) (int, error) {
	t.tell(fmt.Sprintf("-> % x   %s", b, t.explain(b)))
	n, err := t.Stream.Write(b)
	if err != nil {
		t.tell("-> " + err.Error())
	}
	return n, err
}

func (t traced) Read(b []byte) (int, error) {
	n, err := t.Stream.Read(b)
	if n > 0 {
		t.tell(fmt.Sprintf("<- % x   %s", b[:n], t.explain(b[:n])))
	}
	if err != nil {
		t.tell("<- " + cause(err).Error())
	}
	return n, err
}

// explain says what a frame means, as far as it is one.
func (t traced) explain(b []byte) string {
	unit, pdu := byte(0), []byte(nil)
	switch {
	case t.rtu && len(b) >= 4:
		if !rightCRC(b) {
			return "(part of a frame, or a wrong checksum)"
		}
		unit, pdu = b[0], b[1:len(b)-2]
	case !t.rtu && len(b) >= mbapSize+1:
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
