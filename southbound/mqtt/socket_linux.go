package mqtt

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// socket reads and writes a TCP connection with less ado than package net: its
// sockets never block, so the scheduler need not be told of a system call. It
// otherwise wakes the runtime's monitor thread for nearly every message, which
// costs more than to take the message. One goroutine may read while another one
// writes.
type socket struct {
	fd       syscall.RawConn
	in, out  transfer
	receive  func(fd uintptr) (done bool)
	transmit func(fd uintptr) (done bool)
}

// transfer is one system call's argument and outcome.
type transfer struct {
	b     []byte
	n     int
	errno syscall.Errno
}

// newSocket returns nil for what is no TCP connection.
func newSocket(c net.Conn) *socket {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	fd, err := t.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{fd: fd}
	s.receive = func(fd uintptr) bool { s.in.call(syscall.SYS_READ, fd); return s.in.errno != syscall.EAGAIN }
	s.transmit = func(fd uintptr) bool { s.out.call(syscall.SYS_WRITE, fd); return true }
	return s
}

func (t *transfer) call(trap, fd uintptr) {
	for {
		n, _, errno := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(t.b))), uintptr(len(t.b)))
		if t.n, t.errno = int(n), errno; errno != syscall.EINTR {
			return
		}
	}
}

// read waits until there is something to read, as [net.Conn].Read.
func (s *socket) read(b []byte) (int, error) {
	s.in.b = b
	err := s.fd.Read(s.receive)
	s.in.b = nil
	switch {
	case err != nil:
		return 0, err
	case s.in.errno != 0:
		return 0, os.NewSyscallError("read", s.in.errno)
	case s.in.n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return s.in.n, nil
}

// write writes as much of b as there is room for in the socket. It does not
// wait.
func (s *socket) write(b []byte) (int, error) {
	s.out.b = b
	err := s.fd.Write(s.transmit)
	s.out.b = nil
	switch {
	case err != nil:
		return 0, err
	case s.out.errno == syscall.EAGAIN:
		return 0, nil
	case s.out.errno != 0:
		return 0, os.NewSyscallError("write", s.out.errno)
	}
	return s.out.n, nil
}
