package socket

import (
	"container/heap"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Alarms wakes many who wait by one timer of the kernel's (timerfd_create(2)). For a
// timer of Go's its monitor thread wakes, too, and the waiting one a millisecond early
// and once more, since epoll counts in whole milliseconds: five switches of threads in
// place of one, which is most of what a gateway costs that has little to do. It is safe
// for concurrent use.
type Alarms struct {
	file *os.File
	raw  syscall.RawConn

	mu    sync.Mutex
	due   alarms    // guarded by mu
	armed time.Time // guarded by mu; when the kernel's timer rings; zero: it does not
}

// NewAlarms starts a clock; nil where the system has none, and then alarms are timers of
// Go's.
func NewAlarms() *Alarms {
	const monotonic = 1 // CLOCK_MONOTONIC, which Go's timers are of, too
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, monotonic,
		syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return nil
	}
	a := &Alarms{file: os.NewFile(fd, "alarms")}
	var err error
	if a.raw, err = a.file.SyscallConn(); err != nil {
		_ = a.file.Close() // nobody waits for it
		return nil
	}
	go a.serve()
	return a
}

// Close ends the clock: what is set does not ring any more.
func (a *Alarms) Close() error { return a.file.Close() }

// serve rings what is due each time that the kernel's timer does.
func (a *Alarms) serve() {
	var count [8]byte // how often it rang
	look := func(fd uintptr) bool {
		_, errno := call(syscall.SYS_READ, fd, count[:])
		return errno != syscall.EAGAIN
	}
	for a.raw.Read(look) == nil {
		a.ring(time.Now())
	}
}

// ring wakes those whose time has come, and sets the kernel's timer to the next.
func (a *Alarms) ring(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.due) > 0 && !a.due[0].at.After(now) {
		t := heap.Pop(&a.due).(*Alarm)
		t.at = time.Time{}
		t.rings <- now // there is room: it was emptied when the alarm was set
	}
	a.armed = time.Time{}
	a.armLocked(now)
}

// set sets t to another time; zero is none.
func (a *Alarms) set(t *Alarm, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-t.rings:
	default:
	}
	set := !t.at.IsZero()
	t.at = at
	switch {
	case set && at.IsZero():
		heap.Remove(&a.due, t.place)
	case set:
		heap.Fix(&a.due, t.place)
	case !at.IsZero():
		heap.Push(&a.due, t)
	}
	if len(a.due) > 0 && (a.armed.IsZero() || a.due[0].at.Before(a.armed)) {
		a.armLocked(time.Now())
	}
}

// armLocked sets the kernel's timer to the first that is due. One that rings for an alarm
// that was set anew finds nothing due, and is set to what is.
func (a *Alarms) armLocked(now time.Time) {
	if len(a.due) == 0 {
		return
	}
	a.armed = a.due[0].at
	in := max(a.armed.Sub(now), 1) // 0 would stop it
	spec := struct{ interval, value syscall.Timespec }{value: syscall.NsecToTimespec(int64(in))}
	_ = a.raw.Control(func(fd uintptr) { // it can fail only once the clock is closed
		_, _, _ = syscall.RawSyscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	})
}
