package wire

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goburrow/modbus"
)

// ErrTimeout is returned when no answer came in time.
var ErrTimeout = errors.New("no answer in time")

// ConnectError is why there is no connection.
type ConnectError struct{ Err error }

// Error returns what the operating system or the peer said.
func (e *ConnectError) Error() string { return "connect: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// NameError is that the name of a host has no address.
type NameError struct {
	Name    string
	Unknown bool // a name server said so; else none answered
}

// Error says so.
func (e *NameError) Error() string {
	if e.Unknown {
		return "there is no host called " + e.Name
	}
	return "no name server tells the address of " + e.Name
}

// DisconnectError is why a connection broke while an answer was due.
type DisconnectError struct{ Err error }

// Error returns how the connection ended.
func (e *DisconnectError) Error() string { return "disconnected: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *DisconnectError) Unwrap() error { return e.Err }

// RefusedError is that the peer ended a TLS connection with an alert: mostly it
// does not accept our certificate.
type RefusedError struct{ Err error }

// Error returns the alert.
func (e *RefusedError) Error() string { return "the peer refuses the connection: " + e.Err.Error() }

// Unwrap returns the alert.
func (e *RefusedError) Unwrap() error { return e.Err }

// StrayError is that no answer came in time, and others did: of another transaction
// or unit.
type StrayError struct {
	Count       uint64
	Unit, Asked byte   // of the last of them, and that was asked
	ID, AskedID uint16 // their transactions
	Unnumbered  bool   // what came is no frame of its own
}

// Error says it.
func (e *StrayError) Error() string {
	switch {
	case e.Unnumbered:
		return fmt.Sprintf("%v; %d came that nobody asked for", ErrTimeout, e.Count)
	case e.ID == e.AskedID:
		return fmt.Sprintf(strayUnit, e.Count, e.Unit, e.Asked)
	}
	return fmt.Sprintf(strayID, e.Count, e.ID, e.AskedID)
}

// Unwrap returns [ErrTimeout].
func (e *StrayError) Unwrap() error { return ErrTimeout }

// Fix says what to do about it; "" is what one does about silence.
func (e *StrayError) Fix() string {
	switch late := e.AskedID - e.ID; {
	case e.Unnumbered:
		return ""
	case e.ID == e.AskedID:
		return fmt.Sprintf("a device that always answers as unit %d has unit_id: %[1]d", e.Unit)
	case late <= mostLate && e.ID != 0:
		return "it answers late: wait longer with timeout"
	}
	return "a device that does not repeat transaction ids needs a bus with ignore_transaction_ids: true in the file"
}

// mostLate is how many requests ago that was asked which is answered late.
const mostLate = 16

// Told returns an error of this package that came as text from another process, as
// what to do about it is known by its kind.
func Told(text error) error {
	var e StrayError
	is := text.Error()
	if n, _ := fmt.Sscanf(is, strayUnit, &e.Count, &e.Unit, &e.Asked); n == 3 {
		return &e
	}
	if n, _ := fmt.Sscanf(is, strayID, &e.Count, &e.ID, &e.AskedID); n == 3 {
		return &e
	}
	switch {
	case is == ErrTimeout.Error():
		return ErrTimeout
	case strings.HasPrefix(is, "answer "): // all of [verify]
		return &ProtocolError{Text: is, Whole: true}
	}
	return text
}

// What a [StrayError] says.
const (
	strayUnit = "no answer in time; %d came, the last from unit %d in place of %d"
	strayID   = "no answer in time; %d came, the last with transaction id %d in place of %d"
)

// ProtocolError says how an answer breaks the protocol.
type ProtocolError struct {
	Text  string
	Whole bool // a frame came whole, and what is in it is wrong
}

// Error returns the text.
func (e *ProtocolError) Error() string { return e.Text }

// EchoError is that a unit's answer to a write does not repeat what was written:
// it may have been carried out all the same.
type EchoError struct{ Got, Want []byte }

// Error returns both.
func (e *EchoError) Error() string {
	return fmt.Sprintf("answer % x to a write of % x", e.Got, e.Want)
}

// SizeError is that an answer is whole and has another size than was asked for: the
// unit has registers of other sizes, or takes no such length.
type SizeError struct {
	Got int   // bytes of data
	Err error // a [ProtocolError]
}

// Error says both sizes.
func (e *SizeError) Error() string { return e.Err.Error() }

// Unwrap returns it as what breaks the protocol.
func (e *SizeError) Unwrap() error { return e.Err }

func protocolErrorf(format string, args ...any) error {
	return &ProtocolError{Text: fmt.Sprintf(format, args...)}
}

// wholeErrorf is of a frame that came whole.
func wholeErrorf(format string, args ...any) error {
	return &ProtocolError{Text: fmt.Sprintf(format, args...), Whole: true}
}

// ExceptionError is that the unit answered with a Modbus exception.
type ExceptionError struct {
	Code byte
	err  error
}

// Error names the exception.
func (e *ExceptionError) Error() string {
	return fmt.Sprintf("exception %d, %s", e.Code, exceptionName(e.Code))
}

// Unwrap returns goburrow's error.
func (e *ExceptionError) Unwrap() error { return e.err }

// Plain returns err with an exception in plain words, others as they are.
func Plain(err error) error {
	if code, ok := ExceptionCode(err); ok && !errors.Is(err, ErrWithheld) {
		return &ExceptionError{code, err}
	}
	return err
}

// Exception returns the error that an answer is, nil if it is no exception.
func Exception(pdu []byte) error {
	if pdu[0]&0x80 == 0 {
		return nil
	}
	return Plain(&modbus.ModbusError{FunctionCode: pdu[0], ExceptionCode: pdu[1]})
}

// ErrWithheld is that a request was not sent: it would read what is never read.
// It counts as the unit's refusal of an address, exception 2.
var ErrWithheld = errors.New("not asked: it would read what is never read")

// ExceptionCode returns the code of the Modbus exception that err is, and
// whether it is one: then the unit answered and the link is well.
func ExceptionCode(err error) (byte, bool) {
	if err == nil {
		return 0, false
	}
	var e *modbus.ModbusError
	if errors.As(err, &e) {
		return e.ExceptionCode, true
	}
	if errors.Is(err, ErrWithheld) {
		return illegalAddress, true
	}
	return 0, false
}

// EmptyError is that a queue of registers has fewer than were asked for.
type EmptyError struct{ Has, Asked int }

// Error says it.
func (e *EmptyError) Error() string {
	return fmt.Sprintf("the queue has %d registers, %d were asked", e.Has, e.Asked)
}
