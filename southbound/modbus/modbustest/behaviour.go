package modbustest

import "time"

// Answer is what goes back for a request, as an honest unit would send it.
// Behaviours change it.
type Answer struct {
	Transaction uint16 // TCP
	Protocol    uint16 // TCP; 0 is Modbus
	LengthError int    // TCP; added to the length field
	Unit        byte
	PDU         []byte
	CRCError    bool // RTU, and of the sum of ASCII
	Start       byte // ASCII; 0 is a colon

	Delay      time.Duration // before the answer
	Echo       bool          // send the request back first, as some RS-485 adapters do
	Before     []byte        // sent before the frame
	After      []byte        // sent after it
	Cut        int           // send that many bytes of the frame only, if not 0
	Gap        time.Duration // wait so long in the middle of the frame
	ByteByByte bool          // each byte in a segment of its own
	Copies     int           // send the frame so often, 1 unless changed
	Close      bool          // close the connection afterwards
	Reset      bool          // reset it afterwards
	Garbage    bool          // send garbage until the peer goes
}

// Behaviour changes the answer to a request.
type Behaviour func(r Request, a *Answer)

// Silence answers nothing.
func Silence(_ Request, a *Answer) { a.Copies = 0 }

// Late answers after d.
func Late(d time.Duration) Behaviour { return func(_ Request, a *Answer) { a.Delay += d } }

// WrongTransaction answers with a transaction id that was never asked.
func WrongTransaction(_ Request, a *Answer) { a.Transaction += 1000 }

// WrongUnit answers as another unit.
func WrongUnit(_ Request, a *Answer) { a.Unit++ }

// StrayBefore sends a frame that nobody asked for before the answer: an answer of
// another transaction, or of another unit with the right one (TCP).
func StrayBefore(transaction uint16, unit byte) Behaviour {
	return func(_ Request, a *Answer) {
		stray := *a
		stray.PDU = append([]byte(nil), a.PDU...)
		stray.PDU[len(stray.PDU)-1] ^= 0x55
		stray.Transaction += transaction
		stray.Unit += unit
		a.Before = TCP.append(nil, &stray)
	}
}

// WrongFunction answers with function 4 for 3 and so on.
func WrongFunction(_ Request, a *Answer) { a.PDU[0]++ }

// WrongLength sends a length field (TCP) that is 2 too small.
func WrongLength(_ Request, a *Answer) { a.LengthError = -2 }

// WrongByteCount sends a byte count that disagrees with the frame.
func WrongByteCount(_ Request, a *Answer) { a.PDU[1] += 2 }

// Fewer answers a read of registers with one register less than asked.
func Fewer(_ Request, a *Answer) {
	if a.PDU[0] < 0x80 && len(a.PDU) > 4 {
		a.PDU = a.PDU[:len(a.PDU)-2]
		a.PDU[1] -= 2
	}
}

// Short sends only the first n bytes of the frame.
func Short(n int) Behaviour { return func(_ Request, a *Answer) { a.Cut = n } }

// Torn waits for d in the middle of the frame.
func Torn(d time.Duration) Behaviour { return func(_ Request, a *Answer) { a.Gap = d } }

// ByteByByte sends each byte in a segment of its own.
func ByteByByte(_ Request, a *Answer) { a.ByteByByte = true }

// Noise sends bytes before and after the frame.
func Noise(before, after string) Behaviour {
	return func(_ Request, a *Answer) { a.Before, a.After = []byte(before), []byte(after) }
}

// Echo sends the request back before the answer (RTU, ASCII).
func Echo(_ Request, a *Answer) { a.Echo = true }

// ABL begins an answer with > as ABL's wallboxes do (ASCII).
func ABL(_ Request, a *Answer) { a.Start = '>' }

// CRCError spoils the checksum of an RTU or ASCII frame.
func CRCError(_ Request, a *Answer) { a.CRCError = true }

// Exception answers with an exception of that code.
func Exception(code byte) Behaviour {
	return func(r Request, a *Answer) { a.PDU = append(a.PDU[:0], r.Function|0x80, code) }
}

// AtMost answers exception 3 to requests for more than n registers or bits.
func AtMost(n int) Behaviour {
	return func(r Request, a *Answer) {
		if r.Count > n {
			Exception(illegalValue)(r, a)
		}
	}
}

// Twice sends the answer two times.
func Twice(_ Request, a *Answer) { a.Copies = 2 }

// TwiceApart sends the answer two times, the second d after the first.
func TwiceApart(d time.Duration) Behaviour {
	return func(_ Request, a *Answer) { a.Copies, a.Gap = 2, d }
}

// CloseAfter closes the connection after the answer: one request a connection.
func CloseAfter(_ Request, a *Answer) { a.Close = true }

// ResetAfter resets the connection after the answer.
func ResetAfter(_ Request, a *Answer) { a.Reset = true }

// Restart resets the connection in the middle of the answer.
func Restart(_ Request, a *Answer) { a.Cut, a.Reset = 5, true }

// Garbage sends random bytes instead of the answer until the peer goes.
func Garbage(_ Request, a *Answer) { a.Garbage = true }
