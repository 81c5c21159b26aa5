package wire

import (
	"path/filepath"
	"time"
)

// Serial is how a serial port is set.
type Serial struct {
	Device   string // /dev/ttyUSB0, /dev/serial/by-id/...
	Baud     int    // any that the port can do
	DataBits int    // 7 or 8
	Parity   Parity
	StopBits int // 1 or 2
	RS485    *RS485
}

// Parity of a serial line.
type Parity string

// The parities.
const (
	NoParity   Parity = "none"
	EvenParity Parity = "even"
	OddParity  Parity = "odd"
)

// RS485 is how the driver turns the direction of a line (Linux TIOCSRS485).
type RS485 struct {
	RTSOnSend    bool          // RTS is high while sending
	RTSAfterSend bool          // RTS is high after sending
	DelayBefore  time.Duration // between RTS and the first bit, in ms
	DelayAfter   time.Duration // between the last bit and RTS, in ms
}

// Char returns how long one character takes on the line, its start, parity and
// stop bits included.
func (s Serial) Char() time.Duration {
	bits := 1 + s.DataBits + s.StopBits
	if s.Parity != NoParity {
		bits++
	}
	return time.Duration(bits) * time.Second / time.Duration(s.Baud)
}

// Silence returns the time that must be kept between frames: 3.5 characters,
// 1.75 ms above 19,200 baud (Modbus over Serial Line V1.02, section 2.5.1.1).
func (s Serial) Silence() time.Duration {
	if s.Baud > 19200 {
		return 1750 * time.Microsecond
	}
	return s.Char() * 7 / 2
}

// SerialPorts returns the serial adapters that are plugged in, by the names that
// Linux gives them; those that stay the same come first.
func SerialPorts() (there []string) {
	for _, pattern := range []string{"/dev/serial/by-id/*", "/dev/ttyUSB*", "/dev/ttyACM*", "/dev/ttyAMA*"} {
		found, _ := filepath.Glob(pattern)
		there = append(there, found...)
	}
	return there
}
