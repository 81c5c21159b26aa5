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
	Once    bool          // a request is not sent again after its whole timeout
	Never   []Run         // that no request may read
	// Exchange is what is written with each read of holding registers, by function
	// 23; nil is that they are read by function 3.
	Exchange *Exchange
}

// Exchange is what a read by function 23 writes (Modbus Application Protocol
// V1.1b3, section 6.17).
type Exchange struct {
	First uint16
	Words []byte // two bytes each
}

// MaxExchange is the most registers that function 23 writes.
const MaxExchange = 121

// Run is a run of addresses of a table, First to End-1.
type Run struct {
	Table      Table
	First, End int
}

// withholds reports whether a request would read what is never read.
func (u *Unit) withholds(t Table, first, count int) bool {
	for _, r := range u.Never {
		if r.Table == t && first < r.End && r.First < first+count {
			return true
		}
	}
	return false
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
// is busy. What is never read is not asked for, see [ErrWithheld].
func (c *Client) Fetch(ctx context.Context, u Unit, t Table, first, count, attempts int) Fetched {
	return c.FetchAsk(ctx, u, Ask{Table: t, First: first, Count: count}, attempts)
}

// FetchAsk is Fetch for all that can be asked for.
func (c *Client) FetchAsk(ctx context.Context, u Unit, a Ask, attempts int) (f Fetched) {
	start := time.Now()
	if u.withholds(a.Table, a.First, a.Count) {
		return Fetched{Err: fmt.Errorf("read %s %s: %w", u.Name, a, ErrWithheld), At: start}
	}
	for left := attempts - 1; left >= 0; left-- {
		sent := time.Now()
		c.To(ctx, u.ID, u.Timeout)
		c.Pause(u.Pause)
		f.Data, f.Err = c.ask(a, u.Exchange)
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
		if _, answered := Reason(f.Err); answered || errors.As(f.Err, &connect) ||
			u.Once && time.Since(sent) >= u.Timeout {
			break
		}
	}
	f.At = time.Now()
	f.Busy = f.At.Sub(start)
	if f.Err != nil {
		f.Err = fmt.Errorf("read %s %s: %w", u.Name, a, f.Err)
	}
	return f
}

// busyPause is how long to wait before a device that says that it is busy is
// asked again.
const busyPause = 50 * time.Millisecond
