package socket

import (
	"io"
	"sync"
	"syscall"
	"unsafe"
)

// calls are the system calls on a descriptor.
type calls struct {
	raw     syscall.RawConn
	in, out transfer
}

// transfer is the read or the write under way. It stands here, and not on the
// stack, so that it is not allocated each time.
type transfer struct {
	mu    sync.Mutex
	buf   []byte // guarded by mu, as all below
	done  int
	errno syscall.Errno
	step  func(fd uintptr) bool
	once  func(fd uintptr) bool // of a write that does not wait
}

// callsOf returns the calls on c's descriptor, nil if it has none.
func callsOf(c any) *calls {
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	calls := &calls{raw: raw}
	calls.in.step, calls.out.step, calls.out.once = calls.in.read, calls.out.write, calls.out.try
	return calls
}

// read reads what there is, waiting for it until the descriptor's deadline. The
// error of an ended wait is that of the descriptor's owner; io.EOF is the end.
func (c *calls) read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := c.in.run(c.raw.Read, c.in.step, b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// write writes all of b, waiting for room like read.
func (c *calls) write(b []byte) (int, error) { return c.out.run(c.raw.Write, c.out.step, b) }

// try writes as much of b as there is room for.
func (c *calls) try(b []byte) (int, error) { return c.out.run(c.raw.Write, c.out.once, b) }

// run makes the steps of a transfer of b, waiting between them.
func (t *transfer) run(wait func(func(fd uintptr) bool) error, step func(fd uintptr) bool, b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf, t.done, t.errno = b, 0, 0
	err := wait(step)
	t.buf = nil
	if err == nil && t.errno != 0 {
		err = t.errno
	}
	return t.done, err
}

// read reports whether there was something, as write does whether all is done.
func (t *transfer) read(fd uintptr) bool {
	t.done, t.errno = call(syscall.SYS_READ, fd, t.buf)
	return t.errno != syscall.EAGAIN
}

func (t *transfer) write(fd uintptr) bool {
	for t.done < len(t.buf) {
		var n int
		if n, t.errno = call(syscall.SYS_WRITE, fd, t.buf[t.done:]); t.errno != 0 {
			return t.errno != syscall.EAGAIN
		}
		t.done += n
	}
	return true
}

// try is a write that is done after one step, whether there was room or not.
func (t *transfer) try(fd uintptr) bool {
	if t.done, t.errno = call(syscall.SYS_WRITE, fd, t.buf); t.errno == syscall.EAGAIN {
		t.errno = 0
	}
	return true
}

// call makes a system call on a buffer without telling the scheduler, again if a
// signal came between.
func call(trap, fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case syscall.EINTR:
		case 0:
			return int(n), 0
		default:
			return 0, errno
		}
	}
}
