// Package budget keeps memory within bounds: how much the process may use, and
// pools of bytes that those who ask for them share.
//
// Limits that count (clients, messages, topics) do not weigh: ten thousand
// messages may be ten thousand bytes or gigabytes. A pool weighs.
package budget

import "sync"

// Pool is a number of bytes that owners share. Its methods may be called by
// several goroutines at once; none of them waits.
type Pool struct {
	mu   sync.Mutex
	most int64 // guarded by mu, as all below
	used int64
	by   map[string]int64 // what each owner has; only those that have something
}

// NewPool returns a pool of most bytes.
func NewPool(most int64) *Pool { return &Pool{most: most, by: make(map[string]int64)} }

// Take gives n bytes to owner, or reports that there are not enough.
func (p *Pool) Take(owner string, n int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used+n > p.most {
		return false
	}
	p.add(owner, n)
	return true
}

// Force gives n bytes to owner although there may not be enough: what is there
// already has to be counted.
func (p *Pool) Force(owner string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(owner, n)
}

// Give takes n bytes of owner's back.
func (p *Pool) Give(owner string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(owner, -n)
}

// Drop takes back all that owner has, and returns how much it was.
func (p *Pool) Drop(owner string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.by[owner]
	p.add(owner, -n)
	return n
}

func (p *Pool) add(owner string, n int64) {
	p.used += n
	if p.by[owner] += n; p.by[owner] == 0 {
		delete(p.by, owner)
	}
}

// Used returns how many bytes are given out, and how many there are.
func (p *Pool) Used() (used, most int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used, p.most
}

// Of returns how many bytes owner has.
func (p *Pool) Of(owner string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.by[owner]
}

// Largest returns who has most; "" of a pool that nobody uses.
func (p *Pool) Largest() (owner string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for o, has := range p.by {
		if has > n || has == n && o < owner {
			owner, n = o, has
		}
	}
	return owner, n
}

// Resize makes the pool most bytes large. What is given out stays so.
func (p *Pool) Resize(most int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = most
}
