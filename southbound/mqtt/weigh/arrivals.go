package weigh

import (
	"sync"
	"time"
)

// Arrivals is the memory for packets that clients are sending: the broker takes
// all that a packet needs when its length is known. Who asks for least is served
// first, and if somebody waits, who holds most goes.
type Arrivals struct {
	mu      sync.Mutex
	most    int64            // guarded by mu, as all below
	used    int64            //
	holders map[any]*arrival // that are being received
	waiting []*arrival       // in the order of their asking
	timer   *time.Timer      // looks again
}

type arrival struct {
	key   any
	end   func() // ends the connection; waits for nothing
	bytes int64
	since time.Time
	done  chan struct{} // closed when it has what it asked for, or was ended
	given bool          // guarded by arrivals.mu
}

// arrivalGrace is how long a packet may take, if others wait.
const arrivalGrace = 100 * time.Millisecond

func (a *Arrivals) resize(most int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.most = most
}

// Take waits until key, a connection, may receive a packet that takes n bytes of
// memory. It reports false if [Arrivals.Give] ended that before. end is called, in a
// goroutine of its own, if others wait and it does not finish; gone reports whether
// the connection has ended already.
func (a *Arrivals) Take(key any, n int64, end func(), gone func() bool) bool {
	w := &arrival{key: key, end: end, bytes: n, done: make(chan struct{})}
	a.mu.Lock()
	a.waiting = append(a.waiting, w)
	a.settleLocked()
	a.mu.Unlock()
	if gone() {
		a.Give(key)
	}
	<-w.done
	a.mu.Lock()
	defer a.mu.Unlock()
	return w.given
}

// settleLocked serves those who wait.
func (a *Arrivals) settleLocked() {
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
		a.holders[w.key] = w
		w.since, w.given = now, true
		close(w.done)
	}
}

func (a *Arrivals) again() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.timer = nil
	a.settleLocked()
}

// evictLocked ends the one that holds most, the longest if several do, unless
// none has had its time.
func (a *Arrivals) evictLocked(now time.Time) bool {
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
	delete(a.holders, worst.key)
	go worst.end()
	return true
}

// Give ends what key has or waits for.
func (a *Arrivals) Give(key any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.holders[key]; h != nil {
		a.used -= h.bytes
		delete(a.holders, key)
	}
	for i, w := range a.waiting {
		if w.key == key {
			a.waiting = append(a.waiting[:i], a.waiting[i+1:]...)
			close(w.done)
			break
		}
	}
	a.settleLocked()
}

// Arriving returns how many bytes are held, how many there are, and how many wait.
func (a *Arrivals) Arriving() (used, most int64, waiting int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.used, a.most, len(a.waiting)
}
