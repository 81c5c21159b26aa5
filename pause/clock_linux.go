package pause

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// See timerfd_create(2).
const (
	clockMonotonic = 1 // as Go's own
	timerNonblock  = syscall.O_NONBLOCK
	timerCloexec   = syscall.O_CLOEXEC
)

// timerSpec is the kernel's struct itimerspec: how long between two, 0 for one
// alone, and until the first.
type timerSpec struct{ interval, value syscall.Timespec }

// newClock makes a timer of the kernel's and the goroutine that waits for it, which
// ends with the process.
func newClock() (*clock, error) {
	fd, _, errno := syscall.RawSyscall(syscall.SYS_TIMERFD_CREATE, clockMonotonic, timerNonblock|timerCloexec, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("timerfd_create", errno)
	}
	file := os.NewFile(fd, "timer")
	conn, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	c := new(clock)
	var spec timerSpec // guarded by c's mutex
	c.arm = func(d time.Duration) {
		// Go's scheduler is not told: the call does not wait. The file lives as long as the goroutine below.
		spec.value = syscall.NsecToTimespec(int64(d))
		_, _, _ = syscall.RawSyscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	}
	go func() {
		defer func() { _ = file.Close() }()
		var times [8]byte // how often it went off
		wait := func(fd uintptr) bool {
			_, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&times)), uintptr(len(times)))
			return errno != syscall.EAGAIN
		}
		for conn.Read(wait) == nil {
			c.ring()
		}
	}()
	return c, nil
}
