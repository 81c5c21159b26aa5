package broker

import (
	"errors"
	"sync"
	"time"
)

// arrivals is the memory for packets that clients are sending: the broker takes
// all that a packet needs when its length is known. Who asks for least is served
// first, and if somebody waits, who holds most goes.
type arrivals struct {
	mu      sync.Mutex
	most    int64              // guarded by mu, as all below
	used    int64              //
	holders map[*conn]*arrival // that are being received
	waiting []*arrival         // in the order of their asking
	timer   *time.Timer        // looks again
}

type arrival struct {
	conn  *conn
	bytes int64
	since time.Time
	done  chan struct{} // closed when it has what it asked for, or was ended
	given bool          // guarded by arrivals.mu
}

// arrivalGrace is how long a packet may take, if others wait.
const arrivalGrace = 100 * time.Millisecond

var (
	errHolds   = errors.New("others wait for the memory of a packet that the client does not finish")
	errArrival = errors.New("the connection was closed before its packet could be received")
)

func (a *arrivals) resize(most int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.most = most
}

// take waits until c may receive a packet that takes n bytes of memory, in the
// goroutine that reads. cancel and give end that.
func (a *arrivals) take(c *conn, n int64) error {
	w := &arrival{conn: c, bytes: n, done: make(chan struct{})}
	a.mu.Lock()
	a.waiting = append(a.waiting, w)
	a.settleLocked()
	a.mu.Unlock()
	if c.isClosed() {
		a.give(c)
	}
	<-w.done
	a.mu.Lock()
	defer a.mu.Unlock()
	if !w.given {
		return errArrival
	}
	return nil
}

// settleLocked serves those who wait.
func (a *arrivals) settleLocked() {
	now := time.Now()
	for len(a.waiting) > 0 {
		least := 0
		for i, w := range a.waiting {
			if w.bytes < a.waiting[least].bytes {
				least = i
			}
		}
		w := a.waiting[least]
		if a.used > 0 && a.used+w.bytes > a.most && !a.evictLocked(now) {
			if a.timer == nil {
				a.timer = time.AfterFunc(arrivalGrace, a.again)
			}
			return
		}
		if a.used > 0 && a.used+w.bytes > a.most {
			continue // one may not be enough
		}
		a.waiting = append(a.waiting[:least], a.waiting[least+1:]...)
		a.used += w.bytes
		a.holders[w.conn] = w
		w.since, w.given = now, true
		close(w.done)
	}
}

func (a *arrivals) again() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.timer = nil
	a.settleLocked()
}

// evictLocked ends the one that holds most, the longest if several do, unless
// none has had its time.
func (a *arrivals) evictLocked(now time.Time) bool {
	var worst *arrival
	for _, h := range a.holders {
		if now.Sub(h.since) >= arrivalGrace && (worst == nil || h.bytes > worst.bytes ||
			h.bytes == worst.bytes && h.since.Before(worst.since)) {
			worst = h
		}
	}
	if worst == nil {
		return false
	}
	a.used -= worst.bytes
	delete(a.holders, worst.conn)
	e, c := worst.conn.broker, worst.conn
	e.writers.Go(func() {
		c.abort(errHolds)
		e.blame(tooMuchArriving, c.name())
	})
	return true
}

// give ends what c has or waits for. It does not wait.
func (a *arrivals) give(c *conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.holders[c]; h != nil {
		a.used -= h.bytes
		delete(a.holders, c)
	}
	for i, w := range a.waiting {
		if w.conn == c {
			a.waiting = append(a.waiting[:i], a.waiting[i+1:]...)
			close(w.done)
			break
		}
	}
	a.settleLocked()
}
