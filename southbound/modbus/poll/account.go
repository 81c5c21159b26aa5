package poll

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/pause"
	"fieldbridge/southbound/modbus/wire"
)

// account is what a bus did, and whether it has a connection. The goroutine of
// the bus owns it, but for what is marked.
type account struct {
	log  *slog.Logger
	used time.Time // the last request
	down down

	requests atomic.Uint64
	failures [bridge.Reasons]atomic.Uint64
	late     atomic.Uint64 // cycles
	busy     atomic.Int64  // ns

	mu    sync.Mutex
	state BusStatus // guarded by mu, but for its counters
}

// down says that there is no connection.
type down struct {
	reason bridge.Reason // ReasonUnknown while there is one, or none was tried
	until  time.Time     // when to try again
	pause  pause.Growing
}

// BusStatus is what others may know of a bus.
type BusStatus struct {
	Down     time.Time // when it went down; zero while it is up
	Detail   string    // why
	Over     time.Time // since when more is asked than it can do; zero if it can
	Load     float64   // share of its time that the reads take, as measured
	Requests uint64    // since it started, with retries
	Late     uint64    // cycles not done when the next was due
	Strays   uint64    // answers of another transaction or unit, thrown away (TCP)
	Busy     time.Duration
}

// Pauses between attempts to connect.
const (
	minConnectPause = time.Second
	maxConnectPause = 10 * time.Second
)

// Status returns how the bus is doing. It is safe for concurrent use.
func (a *account) Status() BusStatus {
	a.mu.Lock()
	s := a.state
	a.mu.Unlock()
	s.Requests, s.Late, s.Busy = a.requests.Load(), a.late.Load(), time.Duration(a.busy.Load())
	return s
}

// Failures returns how many requests failed for a reason since the bus started,
// with retries. It is safe for concurrent use.
func (a *account) Failures(r bridge.Reason) uint64 { return a.failures[r].Load() }

// book counts the requests of a read, and reports whether the connection that was
// lost is there again.
func (a *account) book(r wire.Fetched) (back bool) {
	for _, err := range r.Failed {
		back = a.request(err) || back
	}
	if r.Err == nil {
		back = a.request(nil) || back
	}
	return back
}

// request counts a request, and reports whether the connection that was lost is
// there again.
func (a *account) request(err error) (back bool) {
	a.used = time.Now()
	a.requests.Add(1)
	if err != nil {
		reason, _ := wire.Reason(err)
		a.failures[reason].Add(1)
		var connect *wire.ConnectError
		if errors.As(err, &connect) {
			a.lost(reason, connect)
			return false
		}
	}
	if a.down.reason == 0 {
		return false
	}
	a.log.Debug("bus is up again", "after", a.used.Sub(a.Status().Down).Round(time.Millisecond))
	a.down = down{}
	a.tell(time.Time{}, "")
	return true
}

// lost notes that there is no connection.
func (a *account) lost(reason bridge.Reason, err error) {
	if a.down.reason == 0 {
		a.log.Debug("bus is down", "err", err)
		a.down.pause = pause.Growing{Least: minConnectPause, Most: maxConnectPause}
		a.tell(a.used, err.Error())
	}
	a.down.reason, a.down.until = reason, a.used.Add(a.down.pause.Next())
}

// tell tells others that the bus is down since then; zero means that it is up.
func (a *account) tell(since time.Time, detail string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Down, a.state.Detail = since, detail
}

// measure notes what share of the bus's time the reads take. An overload ends
// only below 95 %, so that it is not told again and again.
func (a *account) measure(load float64, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Load = load
	switch {
	case load > 1 && a.state.Over.IsZero():
		a.state.Over = now
	case load < 0.95:
		a.state.Over = time.Time{}
	}
}
