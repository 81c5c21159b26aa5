package bridge

import (
	"slices"
	"strconv"
	"strings"
)

// Reason is why a reading is bad. The set is closed: the codes go to the cloud,
// where rules match them, and the numbers are part of the queue's file format:
// never reuse one.
type Reason uint16

// The reasons.
const (
	ReasonUnknown      Reason = 0  // no reason was given: a mistake of this program
	ReasonTimeout      Reason = 1  // no answer in time
	ReasonRefused      Reason = 2  // the connection was refused
	ReasonUnreachable  Reason = 3  // no route, no such host, no such serial port
	ReasonDisconnected Reason = 4  // the connection broke
	ReasonProtocol     Reason = 5  // an answer that breaks the protocol
	ReasonNotANumber   Reason = 6  // NaN or infinity
	ReasonSentinel     Reason = 7  // the device's own "no value"
	ReasonOutOfRange   Reason = 8  // outside the range of its type, enum or limits
	ReasonSilent       Reason = 9  // a sensor is overdue
	ReasonType         Reason = 10 // a payload's value is of another type
	ReasonMissing      Reason = 11 // the payload does not have it
	ReasonStopped      Reason = 12 // the device is not polled at present
	ReasonOffline      Reason = 13 // the device said that it goes offline
	ReasonGivenUp      Reason = 14 // the device refuses this address; tried again daily
	ReasonCertificate  Reason = 15 // TLS: one side does not accept the other's certificate
	ReasonMoved        Reason = 16 // the device has another SunSpec model at this address now
	ReasonOverdue      Reason = 17 // it was not asked for, for more than three of its intervals

	// reasonException plus a Modbus exception code (0 to 255) is that exception.
	reasonException Reason = 128
	// Reasons is the number after the last reason.
	Reasons = reasonException + 256
)

var reasonNames = [...]string{
	"unknown", "timeout", "refused", "unreachable", "disconnected", "protocol", "not_a_number",
	"sentinel", "out_of_range", "silent", "wrong_type", "missing", "stopped", "offline", "given_up", "certificate",
	"moved", "overdue",
}

// Exception returns the reason for a Modbus exception response (Modbus
// Application Protocol V1.1b3, section 7). The specification knows 1 to 11;
// devices send others too, 128 and 255 among them, and 0.
func Exception(code byte) Reason { return reasonException + Reason(code) }

// String returns the code as the cloud sees it, "exception_2" for instance.
func (r Reason) String() string {
	switch {
	case int(r) < len(reasonNames):
		return reasonNames[r]
	case r >= reasonException && r < Reasons:
		return "exception_" + strconv.Itoa(int(r-reasonException))
	}
	return "reason_" + strconv.Itoa(int(r))
}

// ReasonOf returns the reason of a code as [Reason.String] has it; of any other
// [ReasonUnknown].
func ReasonOf(code string) Reason {
	if i := slices.Index(reasonNames[:], code); i >= 0 {
		return Reason(i)
	}
	if number, ok := strings.CutPrefix(code, "exception_"); ok {
		if n, err := strconv.ParseUint(number, 10, 8); err == nil {
			return Exception(byte(n))
		}
	}
	return ReasonUnknown
}
