package wire

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

// late is a request whose answers may still come.
type late struct {
	request []byte
	answers int // that may come
	until   time.Time
}

// alike reports whether an answer to was could be taken for one to request.
func (was *late) alike(request []byte) bool {
	return was.request[1] == request[1] && wanted(was.request) == wanted(request)
}

// clear makes sure that no byte of an earlier answer is taken for the one to
// request. Where answers have no transaction id, one that may still come and
// would look the same is waited for, unless it is to the very same request. What
// came meanwhile is thrown away.
func (l *Link) clear(request []byte) error {
	l.have = nil
	unit := request[0]
	now := time.Now()
	l.late[unit] = slices.DeleteFunc(l.late[unit], func(was late) bool { return !now.Before(was.until) })
	for i := 0; i < len(l.late[unit]); i++ {
		was := l.late[unit][i]
		if bytes.Equal(was.request, request) || !was.alike(request) {
			continue
		}
		if err := l.await(was); err != nil {
			return err
		}
		l.late[unit] = slices.Delete(l.late[unit], i, i+1)
		i--
	}
	// The deadline must not have passed, or nothing is read at all.
	if err := l.stream.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	return discard(l.stream, l.buf[:])
}

// await reads until the late answers are there or can be waited for no longer.
func (l *Link) await(was late) error {
	defer func() { l.have = nil }()
	if err := l.stream.SetDeadline(was.until); err != nil {
		return err
	}
	for {
		answer, used, err := l.framing.cut(was.request, l.have)
		l.have = l.have[used:]
		if err != nil {
			return err
		}
		if answer != nil {
			if was.answers--; was.answers == 0 {
				return nil
			}
			continue
		}
		if err := l.fill(); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// unanswered notes that an answer to request may still come, and says what came
// instead.
func (l *Link) unanswered(request []byte, timeout time.Duration) error {
	if !l.expect(request, 1, timeout) {
		l.late[request[0]] = append(l.late[request[0]], late{bytes.Clone(request), 1, time.Now().Add(timeout)})
	}
	have := l.have
	l.have = nil
	if len(have) == 0 {
		return ErrTimeout
	}
	return protocolErrorf("%d bytes that are not an answer: % x", len(have), have[:min(len(have), 16)])
}

// expect says that so many more answers to request may come, and reports whether
// some were expected before.
func (l *Link) expect(request []byte, more int, timeout time.Duration) bool {
	lates := l.late[request[0]]
	i := slices.IndexFunc(lates, func(was late) bool { return bytes.Equal(was.request, request) })
	if i < 0 {
		return false
	}
	lates[i].answers += more
	lates[i].until = time.Now().Add(timeout)
	return true
}

// maxStray is how many bytes may lie about before a request: some frames that
// came too late, or noise. A peer that sends more sends without end, and reading
// on would take the bus for as long as it likes.
const maxStray = 4096

var errStray = fmt.Errorf("more than %d bytes came that nobody asked for", maxStray)

// discard throws away what has been received, without waiting for more, where
// the stream can do so. It fails if that is more than maxStray.
func discard(s Stream, buf []byte) error {
	c, ok := s.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	stray := 0
	err = raw.Read(func(fd uintptr) bool {
		for stray <= maxStray {
			n, err := syscall.Read(int(fd), buf)
			if n <= 0 || err != nil {
				break
			}
			stray += n
		}
		return true
	})
	if err == nil && stray > maxStray {
		err = errStray
	}
	return err
}
