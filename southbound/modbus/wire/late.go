package wire

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"time"
)

// late is an answer that may still come.
type late struct {
	request []byte
	until   time.Time
}

// clear makes sure that no byte of an earlier answer is taken for the one to
// request: where answers have no transaction id, one that may still come is
// waited for, and what came meanwhile is thrown away.
func (l *Link) clear(request []byte) error {
	l.have = nil
	if was, ok := l.late[request[0]]; ok {
		delete(l.late, request[0])
		if time.Now().Before(was.until) {
			if _, err := l.await(was); err != nil {
				return err
			}
		}
	}
	// The deadline must not have passed, or nothing is read at all.
	if err := l.stream.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	return discard(l.stream, l.buf[:])
}

// await reads until the late answer is there or can be waited for no longer.
func (l *Link) await(was late) (answer []byte, err error) {
	if err := l.stream.SetDeadline(was.until); err != nil {
		return nil, err
	}
	for {
		answer, used, err := l.framing.cut(was.request, l.have)
		l.have = l.have[used:]
		if answer != nil || err != nil {
			l.have = nil
			return answer, err
		}
		if err := l.fill(); err != nil {
			l.have = nil
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return nil, nil
			}
			return nil, err
		}
	}
}

// unanswered notes that the answer to request may still come, and says what
// came instead.
func (l *Link) unanswered(request []byte, timeout time.Duration) error {
	l.late[request[0]] = late{bytes.Clone(request), time.Now().Add(timeout / 2)}
	have := l.have
	l.have = nil
	if len(have) == 0 {
		return ErrTimeout
	}
	return protocolErrorf("%d bytes that are no answer: % x", len(have), have[:min(len(have), 16)])
}

// discard throws away what has been received, without waiting for more, where
// the stream can do so.
func discard(s Stream, buf []byte) error {
	c, ok := s.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool {
		for {
			if n, err := syscall.Read(int(fd), buf); n <= 0 || err != nil {
				return true
			}
		}
	})
}
