package wire

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fieldbridge/socket"
)

// OpenSerial opens and sets a serial port. It is for this process alone until
// it is closed. Reads and writes end at the deadline.
func OpenSerial(s Serial) (Stream, error) {
	fd, err := unix.Open(s.Device, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, describe(s.Device, err)
	}
	if err := set(fd, s); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", s.Device, err)
	}
	return socket.WrapFile(os.NewFile(uintptr(fd), s.Device)), nil
}

// set makes the port raw with any baud rate, for us alone, and empties it.
func set(fd int, s Serial) error {
	t, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return errors.New("not a serial port")
	}
	// The lock keeps other processes of ours out, the ioctl others, but for root.
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return unix.EBUSY
	} else if err != nil {
		return err
	}
	if err := unix.IoctlSetInt(fd, unix.TIOCEXCL, 0); err != nil {
		return err
	}
	*t = unix.Termios{Cflag: unix.CREAD | unix.CLOCAL | unix.BOTHER, Ispeed: uint32(s.Baud), Ospeed: uint32(s.Baud)}
	switch s.DataBits {
	case 7:
		t.Cflag |= unix.CS7
	default:
		t.Cflag |= unix.CS8
	}
	if s.StopBits == 2 {
		t.Cflag |= unix.CSTOPB
	}
	switch s.Parity {
	case OddParity:
		t.Cflag |= unix.PARENB | unix.PARODD
		t.Iflag |= unix.INPCK
	case EvenParity:
		t.Cflag |= unix.PARENB
		t.Iflag |= unix.INPCK
	}
	t.Cc[unix.VMIN] = 1
	if err := unix.IoctlSetTermios(fd, setTermios, t); err != nil {
		return fmt.Errorf("%d baud, %d%c%d: %w", s.Baud, s.DataBits, strings.ToUpper(string(s.Parity))[0], s.StopBits, err)
	}
	if s.RS485 != nil {
		if err := setRS485(fd, s.RS485); err != nil {
			return err
		}
	}
	return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH)
}

// rs485 is struct serial_rs485 of linux/serial.h.
type rs485 struct {
	flags                   uint32
	delayBefore, delayAfter uint32 // ms
	padding                 [5]uint32
}

const (
	rs485Enabled      = 1 << 0
	rs485RTSOnSend    = 1 << 1
	rs485RTSAfterSend = 1 << 2
)

// kernel returns r as the kernel has it.
func (r *RS485) kernel() rs485 {
	v := rs485{flags: rs485Enabled, delayBefore: uint32(r.DelayBefore / time.Millisecond),
		delayAfter: uint32(r.DelayAfter / time.Millisecond)}
	if r.RTSOnSend {
		v.flags |= rs485RTSOnSend
	}
	if r.RTSAfterSend {
		v.flags |= rs485RTSAfterSend
	}
	return v
}

func setRS485(fd int, r *RS485) error {
	v := r.kernel()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSRS485, uintptr(unsafe.Pointer(&v))); errno != 0 {
		return fmt.Errorf("rs485: the driver cannot turn the direction: %w: remove rs485 if the adapter does it by itself",
			errno)
	}
	return nil
}

// describe says what ports there are when one is not: USB adapters change their
// names.
func describe(device string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", device, err)
	}
	text := device + ": no such file or folder: "
	if there := SerialPorts(); there == nil {
		text += "no serial adapter is plugged in"
	} else {
		text += "there are " + strings.Join(there, ", ")
	}
	return &absentError{text, err}
}

// absentError is that a port is not there, in words for people.
type absentError struct {
	text string
	err  error
}

func (e *absentError) Error() string { return e.text }

func (e *absentError) Unwrap() error { return e.err }
