// Package pulse tells whether the loops of a program still turn. A loop says within
// what time it will be heard again, by what it is about to do: a request with a long
// timeout may take long, a wait for others takes as long as they like. Who asks is told
// of those that did not keep their word. A sign of life is one atomic store.
package pulse

import (
	"sync"
	"sync/atomic"
	"time"
)

// Board knows the loops of a program. It is safe for concurrent use.
type Board struct {
	begun  time.Time
	lapsed atomic.Int64 // ns in which the program did not run

	mu        sync.Mutex
	loops     map[*Loop]struct{} // guarded by mu
	crossings []*Crossing        // guarded by mu
}

// NewBoard returns a board without loops.
func NewBoard() *Board { return &Board{begun: time.Now(), loops: make(map[*Loop]struct{})} }

// now is the time that the program ran, in ns; it is never 0.
func (b *Board) now() int64 { return int64(time.Since(b.begun)) - b.lapsed.Load() + 1 }

// Lapsed says that the program did not run for so long, say since it was stopped: no
// loop had that time, so none is late for it.
func (b *Board) Lapsed(d time.Duration) { b.lapsed.Add(int64(d)) }

// Loop adds a loop, which owes nothing yet. The name is for people.
func (b *Board) Loop(name string) *Loop { return b.add(&Loop{board: b, name: name}) }

// OnDisk is Loop for one that waits for the disk, too.
func (b *Board) OnDisk(name string) *Loop { return b.add(&Loop{board: b, name: name, disk: true}) }

func (b *Board) add(l *Loop) *Loop {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loops[l] = struct{}{}
	return l
}

// Crossing adds a place that many goroutines pass, each within that time.
func (b *Board) Crossing(name string, within time.Duration) *Crossing {
	c := &Crossing{board: b, name: name, within: within}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.crossings = append(b.crossings, c)
	return c
}

// Late is who did not keep its word, and by how much.
type Late struct {
	Name string
	By   time.Duration
	Disk bool // it may be that the disk does not answer
}

// Late returns who is late, the worst of them first. It is to be called every few seconds:
// a crossing is looked at from one call to the next.
func (b *Board) Late() []Late {
	now := b.now()
	var late []Late
	add := func(l Late) {
		if late = append(late, l); l.By > late[0].By {
			late[0], late[len(late)-1] = l, late[0]
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.loops {
		if due := l.due.Load(); due != 0 && now > due {
			add(Late{l.name, time.Duration(now - due), l.disk})
		}
	}
	for _, c := range b.crossings {
		if by := c.look(now); by > 0 {
			add(Late{Name: c.name, By: by})
		}
	}
	return late
}

// Loop is the pulse of one loop. Its methods are safe for concurrent use.
type Loop struct {
	board *Board
	name  string
	disk  bool
	due   atomic.Int64 // when it is late, as Board.now tells; 0: it owes nothing
}

// Within says that the loop runs now, and will be heard again within d.
func (l *Loop) Within(d time.Duration) {
	l.due.Store(l.board.now() + int64(d/hurry))
	hang(l.name)
}

// Rest says that the loop waits for others, as long as they like.
func (l *Loop) Rest() { l.due.Store(0) }

// End takes the loop off the board.
func (l *Loop) End() {
	l.board.mu.Lock()
	defer l.board.mu.Unlock()
	delete(l.board.loops, l)
}

// Crossing is a place that many goroutines pass, none of which may stay.
type Crossing struct {
	board  *Board
	name   string
	within time.Duration

	// Who enters is counted in one of two halves. A look waits until those of the other
	// half have left, and then lets the halves change places: so it is known of each
	// that it left, and none is told apart.
	half   atomic.Int32
	inside [2]atomic.Int64
	since  int64 // of the last change; with the board's lock
}

// Enter is called by who comes; Leave wants its ticket.
func (c *Crossing) Enter() (ticket int) {
	ticket = int(c.half.Load())
	c.inside[ticket].Add(1)
	hang(c.name)
	return ticket
}

// Leave is called by who goes.
func (c *Crossing) Leave(ticket int) { c.inside[ticket].Add(-1) }

// look returns how much too long someone has been inside.
func (c *Crossing) look(now int64) time.Duration {
	half := c.half.Load()
	if c.since == 0 || c.inside[1-half].Load() == 0 {
		c.half.Store(1 - half)
		c.since = now
		return 0
	}
	return time.Duration(now-c.since) - c.within/hurry
}
