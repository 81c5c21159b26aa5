package bridge

import (
	"cmp"
	"slices"
	"time"
)

// Gatherer is a [Format] whose messages are the shorter the more batches of one
// device they hold.
type Gatherer interface {
	Format
	// Gathers reports whether batches of one device should share a message even
	// if those of other devices came between them.
	Gathers() bool
}

const (
	// Where devices are gathered, there is enough for a message at the latest
	// when this many wait ...
	gatherMessages = 32
	// ... or so many bytes of them: with very many devices no single one fills a
	// message.
	gatherBytes = 512 << 10
)

// Group is the batches of one topic that wait for a message. With a [Gatherer]
// each device's are kept together: devices may then overtake each other, while
// the batches of each stay in their order. A Group is not safe for concurrent
// use.
type Group struct {
	format Format
	room   int
	gather bool

	piles   []*pile // none is empty
	devices map[string]*pile
	count   int       // batches
	size    int       // their bytes, in company
	largest int       // of the largest pile
	due     time.Time // when the first batch must go
	picked  []Entry
	spare   *pile // empty, its memory serves the next one; may be nil
}

// leastPile is up to how many batches a pile keeps its memory.
const leastPile = 64

// pile is batches in the order in which they came.
type pile struct {
	device  string // "" of the only one
	entries []Entry
	held    []held
	size    int
	due     time.Time // the first of all
}

// held is what a group knows of a batch.
type held struct {
	size int       // bytes in company
	due  time.Time // when it must go
}

// NewGroup returns an empty group for messages of a format. With ordered the
// batches stay in their order even if the format gathers.
func NewGroup(f Format, ordered bool) *Group {
	g := &Group{format: f, room: f.Room(), devices: make(map[string]*pile)}
	if gatherer, ok := f.(Gatherer); ok {
		g.gather = !ordered && gatherer.Gathers()
	}
	return g
}

// Add adds a batch that must go when it is due, and returns the bytes that it
// takes in company. One that comes late, since it was in flight before, is put
// where it belongs.
func (g *Group) Add(e *Entry, due time.Time) (size int) {
	if size = int(e.Size); size == 0 {
		_, size = g.format.Fit(&e.Batch) // it comes from the disk
	}
	device := ""
	if g.gather {
		device = e.Device
	}
	p := g.devices[device]
	if p == nil {
		if p, g.spare = g.spare, nil; p == nil {
			p = new(pile)
		}
		p.device, p.due = device, due
		g.devices[device] = p
		g.piles = append(g.piles, p)
	}
	if g.count == 0 {
		g.due = due
	}
	i := len(p.entries)
	for i > 0 && p.entries[i-1].Position > e.Position {
		i--
	}
	p.entries = slices.Insert(p.entries, i, *e)
	p.held = slices.Insert(p.held, i, held{size, due})
	p.size += size
	p.due, g.due = earlier(p.due, due), earlier(g.due, due)
	g.count++
	g.size += size
	g.largest = max(g.largest, p.size)
	return size
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Len returns how many batches wait.
func (g *Group) Len() int { return g.count }

// Due returns when the first batch must go. The group is not empty, here as in
// the methods below.
func (g *Group) Due() time.Time { return g.due }

// Full reports whether there is enough for a message.
func (g *Group) Full() bool {
	return g.largest >= g.room || g.size >= min(gatherMessages*g.room, max(gatherBytes, g.room))
}

// oldest returns the position of the oldest batch.
func (g *Group) oldest() Position {
	first := g.piles[0].entries[0].Position
	for _, p := range g.piles[1:] {
		first = min(first, p.entries[0].Position)
	}
	return first
}

// newest returns the position of the newest batch.
func (g *Group) newest() Position {
	p := g.newestPile()
	return p.entries[len(p.entries)-1].Position
}

// sizeOfNewest returns the newest batch's bytes in company.
func (g *Group) sizeOfNewest() int {
	p := g.newestPile()
	return p.held[len(p.held)-1].size
}

func (g *Group) newestPile() *pile {
	newest := g.piles[0]
	for _, p := range g.piles[1:] {
		if p.entries[len(p.entries)-1].Position > newest.entries[len(newest.entries)-1].Position {
			newest = p
		}
	}
	return newest
}

// dropNewest takes the newest batch out.
func (g *Group) dropNewest() (e Entry, size int) {
	p := g.newestPile()
	last := len(p.entries) - 1
	e, size = p.entries[last], p.held[last].size
	p.entries = slices.Delete(p.entries, last, last+1)
	p.held = p.held[:last]
	p.size -= size
	g.count--
	g.size -= size
	g.tidy()
	return e, size
}

// Pack packs one message and returns the batches in it, at least one. With an
// error, they cannot be packed. They stay in the group until [Group.Drop] and
// are valid until then.
func (g *Group) Pack() (m Message, packed []Entry, err error) {
	picked := g.pick()
	m, n, err := g.format.Pack(picked)
	return m, picked[:n], err
}

// pick returns batches in the order in which they are to be packed, more than
// fill a message if there are so many: those of the device with the oldest one,
// then those of the device with the next oldest one, and so on.
func (g *Group) pick() []Entry {
	if len(g.piles) == 1 {
		return g.piles[0].entries
	}
	slices.SortFunc(g.piles, func(a, b *pile) int { return cmp.Compare(a.entries[0].Position, b.entries[0].Position) })
	g.picked = g.picked[:0]
	size := 0
	for _, p := range g.piles {
		g.picked = append(g.picked, p.entries...)
		if size += p.size; size > 2*g.room {
			break
		}
	}
	return g.picked
}

// Drop forgets the first n batches that Pack saw and returns their bytes in
// company.
func (g *Group) Drop(n int) (size int) {
	g.count -= n
	for _, p := range g.piles {
		m := min(n, len(p.entries))
		size += p.drop(m)
		n -= m
	}
	clear(g.picked)
	g.picked = g.picked[:0]
	g.size -= size
	g.tidy()
	return size
}

// tidy forgets empty piles and looks for the largest and the first that is due.
func (g *Group) tidy() {
	g.piles = slices.DeleteFunc(g.piles, func(p *pile) bool {
		if len(p.entries) > 0 {
			return false
		}
		delete(g.devices, p.device)
		if cap(p.entries) <= leastPile {
			g.spare = p
		}
		return true
	})
	g.largest = 0
	for i, p := range g.piles {
		g.largest = max(g.largest, p.size)
		if i == 0 {
			g.due = p.due
		}
		g.due = earlier(g.due, p.due)
	}
}

// drop forgets the first n batches. Their memory goes with them, but for that of a few.
func (p *pile) drop(n int) (size int) {
	if n == 0 {
		return 0
	}
	for i := range p.held[:n] {
		size += p.held[i].size
	}
	p.size -= size
	p.entries = slices.Delete(p.entries, 0, n)
	p.held = slices.Delete(p.held, 0, n)
	if n := len(p.entries); cap(p.entries) > max(leastPile, 4*n) {
		p.entries, p.held = slices.Clone(p.entries), slices.Clone(p.held)
	}
	for i := range p.held {
		if i == 0 {
			p.due = p.held[0].due
		}
		p.due = earlier(p.due, p.held[i].due)
	}
	return size
}
