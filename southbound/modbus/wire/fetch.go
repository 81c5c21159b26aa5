package wire

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fieldbridge/pause"
)

// Unit is a unit of a bus and how it is asked.
type Unit struct {
	Name    string // for people
	ID      byte
	Timeout time.Duration // of an answer
	Pause   time.Duration // the least between an answer and a request
	Retries int           // after a request without an answer
}

// Fetched is how a read went.
type Fetched struct {
	Data   []byte // valid until the client's next request
	Err    error
	Failed []error       // the tries that failed
	At     time.Time     // when the answer was there
	Busy   time.Duration // all tries together
}

// Fetch reads count registers or bits of u from first on, with as many attempts
// while nothing comes back: an exception is an answer, but for that of a unit that
// is busy.
func (c *Client) Fetch(ctx context.Context, u Unit, t Table, first, count, attempts int) (f Fetched) {
	start := time.Now()
	for left := attempts - 1; left >= 0; left-- {
		c.To(ctx, u.ID, u.Timeout)
		c.Pause(u.Pause)
		f.Data, f.Err = c.Read(t, uint16(first), uint16(count))
		if f.Err == nil || ctx.Err() != nil {
			break
		}
		f.Failed = append(f.Failed, f.Err)
		if code, _ := ExceptionCode(f.Err); code == deviceBusy && left > 0 {
			if !pause.Sleep(ctx, busyPause) {
				break
			}
			continue
		}
		var connect *ConnectError
		if _, answered := Reason(f.Err); answered || errors.As(f.Err, &connect) {
			break
		}
	}
	f.At = time.Now()
	f.Busy = f.At.Sub(start)
	if f.Err != nil {
		f.Err = fmt.Errorf("read %s %s %d+%d: %w", u.Name, t, first, count, f.Err)
	}
	return f
}

// busyPause is how long to wait before a device that says that it is busy is
// asked again.
const busyPause = 50 * time.Millisecond
