// Package turn has those who are due at one moment go one after the other.
//
// Ten devices of a thousand registers that are asked beside each other are done after
// ten times as long, all of them, and each answer finds the caches full of another
// device: one after the other each is done in its own time, and all take less. Those
// that ask for little go beside each other, as many as ask for what one may: while one
// waits for its answer the next is asked. Nobody waits for one that takes long.
package turn

import (
	"slices"
	"sync"
	"time"

	"fieldbridge/pause"
)

const (
	// AtOnce is how many requests those may have to make that go at once; who has more
	// goes alone.
	AtOnce = 8
	// Hold is how long others wait for one: a device that answers takes a millisecond
	// for all, and one that does not is not waited for.
	Hold = 5 * time.Millisecond
	// Patience is how long one waits for all others together: however many they are,
	// what can be asked in an interval is asked.
	Patience = 20 * time.Millisecond
)

// Line is where they wait. Its zero value is ready to use; it is safe for concurrent
// use, and holds its lock for no call but those of [Line.Place], which must not wait.
type Line struct {
	mu      sync.Mutex
	asked   int         // guarded by mu, as all below: requests of those who go
	going   []*Place    // the longest first
	waiting []*Place    // the first first
	stop    func() bool // of the timer that ends the turn of who goes; nil is none
}

// Place is that of one in a line. One goroutine uses it. Nil goes whenever it likes.
type Place struct {
	line  *Line
	call  func()
	state state     // guarded by the line's mutex, as all below
	asks  int       // requests that are to be made
	since time.Time // it goes, or waits
}

type state int

const (
	rests state = iota
	waits
	goes
	lags // it goes on, and is not waited for any more
)

// Place returns a place in the line of one that is called when its turn has come.
func (l *Line) Place(call func()) *Place { return &Place{line: l, call: call} }

// Take reports whether to go now and make so many requests. Otherwise the call comes
// when to ask again. Who goes does so until [Place.Pass], and need not ask.
func (p *Place) Take(asks int) bool {
	if p == nil {
		return true
	}
	l := p.line
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.state != rests {
		return p.state != waits
	}
	p.asks = asks
	if len(l.waiting) == 0 && l.room(p) {
		l.start(p)
		return true
	}
	p.state, p.since = waits, time.Now()
	l.waiting = append(l.waiting, p)
	l.watch()
	return false
}

// Pass ends the turn. Who waits for it goes on waiting.
func (p *Place) Pass() { p.end(waits) }

// Leave ends the turn or the wait for it.
func (p *Place) Leave() { p.end(rests) }

func (p *Place) end(spared state) {
	if p == nil {
		return
	}
	l := p.line
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.state == spared {
		return
	}
	l.waiting = without(l.waiting, p)
	l.over(p)
	p.state = rests
	l.next()
}

// room reports whether p may go beside those who do.
func (l *Line) room(p *Place) bool { return len(l.going) == 0 || l.asked+p.asks <= AtOnce }

func (l *Line) start(p *Place) {
	p.state, p.since = goes, time.Now()
	l.asked += p.asks
	l.going = append(l.going, p)
}

// over has nobody wait for p any more.
func (l *Line) over(p *Place) {
	if p.state == goes {
		l.asked -= p.asks
		l.going = without(l.going, p)
		p.state = lags
	}
}

// next has those go whose turn it is, and those who have waited for long.
func (l *Line) next() {
	for len(l.waiting) > 0 && (l.room(l.waiting[0]) || time.Since(l.waiting[0].since) >= Patience) {
		p := l.waiting[0]
		l.waiting = without(l.waiting, p)
		l.start(p)
		p.call()
	}
	l.watch()
}

// watch has a timer run while somebody waits.
func (l *Line) watch() {
	if len(l.waiting) > 0 && l.stop == nil {
		first := min(Hold-time.Since(l.going[0].since), Patience-time.Since(l.waiting[0].since))
		l.stop = pause.AfterFunc(first, l.expire)
	} else if len(l.waiting) == 0 && l.stop != nil {
		l.stop()
		l.stop = nil
	}
}

// expire ends the turns of those who have been going for too long.
func (l *Line) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop = nil
	for len(l.going) > 0 && time.Since(l.going[0].since) >= Hold {
		l.over(l.going[0])
	}
	l.next()
}

func without(all []*Place, p *Place) []*Place {
	if i := slices.Index(all, p); i >= 0 {
		return slices.Delete(all, i, i+1)
	}
	return all
}
