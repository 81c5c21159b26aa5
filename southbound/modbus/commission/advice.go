package commission

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"fieldbridge/bridge"
	"fieldbridge/southbound/modbus/wire"
)

// Advice returns what a person at a command line can do about an error of a
// [Master] that asks the bus at url, in the words of that command line; "" if
// the error says it all.
func Advice(err error, url string) string {
	a, _ := wire.ParseURL(url)
	if code, ok := wire.ExceptionCode(err); ok {
		return adviceOn[code]
	}
	if errors.As(err, new(*LoneError)) && errors.Is(err, wire.ErrTimeout) {
		return "it has no such address, or not so many in a row, and says nothing to that: " +
			"scan --addresses finds what there is"
	}
	var (
		connect    *wire.ConnectError
		disconnect *wire.DisconnectError
		protocol   *wire.ProtocolError
		stray      *wire.StrayError
	)
	switch {
	case errors.Is(err, syscall.EBUSY):
		return "stop it, or add --via FILE if it is a running gateway"
	case errors.Is(err, fs.ErrPermission):
		return "let your user use the port: sudo usermod -aG dialout $USER, then log in again"
	case errors.As(err, &connect):
		if named := (*wire.NameError)(nil); errors.As(err, &named) {
			return "check the name, and the name server of this machine"
		}
		return connectAdvice(wire.ConnectReason(connect.Err), a)
	case errors.Is(err, wire.ErrTimeout) && !a.Numbered() && !a.Serial():
		return "check --unit and the line behind the converter; if it speaks Modbus/TCP by itself, use tcp://"
	case errors.Is(err, wire.ErrTimeout) && !a.Numbered():
		return "check --unit, --baud and --parity (scan --line finds them), that A and B are not swapped, and the termination"
	case errors.As(err, &stray) && stray.Fix() != "":
		return inFlags.Replace(stray.Fix())
	case errors.Is(err, wire.ErrTimeout):
		return "check --unit (scan finds those that answer), or wait longer with --timeout"
	case errors.As(err, &disconnect):
		return "many devices take one connection only: if a gateway has it, add --via FILE; or something else than Modbus " +
			"listens there"
	case errors.As(err, new(*wire.SizeError)):
		return "perhaps its registers have another size than two bytes (scan --addresses tells it), or it answers only " +
			"longer requests"
	case errors.As(err, &protocol) && protocol.Whole:
		return "the device breaks the protocol here: leave it out, or see what it sends with --trace"
	case errors.As(err, &protocol) && a.Scheme == "tcp":
		return "perhaps a converter that passes RTU frames on: try rtu+tcp://"
	case errors.As(err, &protocol):
		return "check --baud and --parity, and that no two units have the same id"
	}
	return ""
}

// inFlags has what a file says in the words of a command line.
var inFlags = strings.NewReplacer("has unit_id: ", "has --unit ", "with timeout", "with --timeout")

// AdviceOnFile is Advice for who asks by a file: in the words of its keys.
func AdviceOnFile(err error, url string) string { return inFile.Replace(Advice(err, url)) }

var inFile = strings.NewReplacer(
	"stop it, or add --via FILE if it is a running gateway", "stop it; if it is another gateway, ask by that one's file",
	"if a gateway has it, add --via FILE", "if something else has it, stop that first",
	"check --unit (scan finds those that answer)", "check unit_id ('fieldbridge modbus scan' finds those that answer)",
	"(scan --line finds them)", "('fieldbridge modbus scan URL --line' finds them)",
	"scan --addresses finds what there is", "'fieldbridge modbus scan URL --addresses' finds what there is",
	"(scan --addresses tells it)", "('fieldbridge modbus scan URL --addresses' tells it; then bytes, or together)",
	"see what it sends with --trace", "see what it sends with 'fieldbridge modbus read URL ADDRESS --trace'",
	"has --unit ", "has unit_id: ", "--unit", "unit_id", "--baud", "baud", "--parity", "parity", "--timeout", "timeout")

// connectAdvice is for a bus without a connection.
func connectAdvice(reason bridge.Reason, a wire.Address) string {
	switch {
	case a.Serial():
		return "" // the error says which ports there are
	case reason == bridge.ReasonTimeout && a.Scheme == "tls":
		return "check the address, or use tcp:// if the device has no TLS"
	case reason == bridge.ReasonRefused:
		return "the host is there and nothing listens: check the port (mostly 502) and that Modbus is switched on in the " +
			"device"
	case reason == bridge.ReasonCertificate:
		return "check the files under tls, or use tcp:// if the device has no TLS"
	}
	return "check the address, the network and that the device is on"
}

// adviceOn is what to do about exceptions (Modbus Application Protocol V1.1b3,
// section 7).
var adviceOn = map[byte]string{
	1: "the unit does not know the function: try the other table, input or holding",
	2: "it has no such address, or not so many in a row: manuals often count from 1 (try one less) or mean the other " +
		"table; scan --addresses finds what there is",
	3:  "it does not take this length or value: ask for fewer, or see its manual for the range",
	4:  "the unit reports a fault of its own: see its display or manual",
	5:  "it is still at work on an earlier request: try again",
	6:  "it is busy: try again",
	10: "the gateway on the way is set wrongly or overloaded: check its settings",
	11: "the gateway on the way gets no answer from the unit: check --unit, and the line behind the gateway",
}
