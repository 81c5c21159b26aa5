package turn

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// worker is one that makes its requests in its turn.
type worker struct {
	*Place
	called chan struct{}
}

func newWorker(l *Line) worker {
	called := make(chan struct{}, 1)
	return worker{l.Place(func() { called <- struct{}{} }), called}
}

// work waits for its turn, works, and passes it on.
func (w worker) work(asks int, takes time.Duration, begun, done func()) {
	for !w.Take(asks) {
		<-w.called
	}
	begun()
	time.Sleep(takes)
	done()
	w.Pass()
}

// TestTurns: who has much to ask goes alone, in the order in which they came; who has
// little goes beside others; nobody waits for one that takes long.
func TestTurns(t *testing.T) {
	for _, c := range []struct {
		what  string
		asks  []int
		takes []time.Duration
		begun []time.Duration // in ms
	}{
		{"large ones, one after the other", []int{8, 8, 8}, []time.Duration{1, 1, 1}, []time.Duration{0, 1, 2}},
		{"larger than may be at once", []int{40, 1}, []time.Duration{2, 1}, []time.Duration{0, 2}},
		{"small ones, beside each other", []int{1, 1, 1, 1, 1, 1, 1, 1, 1}, []time.Duration{1, 1, 1, 1, 1, 1, 1, 1, 1},
			[]time.Duration{0, 0, 0, 0, 0, 0, 0, 0, 1}},
		{"a small one does not overtake", []int{6, 6, 2}, []time.Duration{2, 1, 1}, []time.Duration{0, 2, 2}},
		{"one that does not answer", []int{8, 8, 8}, []time.Duration{1000, 1, 1}, []time.Duration{0, 5, 6}},
		{"several that do not answer", []int{8, 8, 8}, []time.Duration{1000, 1000, 1}, []time.Duration{0, 5, 10}},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var line Line
				var all sync.WaitGroup
				begun := make([]time.Duration, len(c.asks))
				start := time.Now()
				for i := range c.asks {
					w := newWorker(&line)
					all.Go(func() {
						w.work(c.asks[i], c.takes[i]*time.Millisecond, func() { begun[i] = time.Since(start) / time.Millisecond },
							func() {})
					})
					synctest.Wait() // they come in this order
				}
				all.Wait()
				if !slices.Equal(begun, c.begun) {
					t.Errorf("they began at %v ms, want %v", begun, c.begun)
				}
				if line.asked != 0 || len(line.going)+len(line.waiting) > 0 || line.stop != nil {
					t.Errorf("at the end the line is %+v", &line)
				}
			})
		})
	}
}

// TestPatience: nobody waits for longer than that, so that as many as there are come to
// their turn as often as without a line.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line Line
		var all sync.WaitGroup
		const each = Hold - time.Millisecond
		start, last := time.Now(), time.Duration(0)
		var mu sync.Mutex
		for range 100 { // 400 ms of work
			w := newWorker(&line)
			all.Go(func() {
				w.work(AtOnce, each, func() {
					mu.Lock()
					defer mu.Unlock()
					last = max(last, time.Since(start))
				}, func() {})
			})
		}
		all.Wait()
		if last != Patience {
			t.Errorf("the last of 100 began after %v, want %v", last, Patience)
		}
	})
}

// TestNoTurn: without a place one goes whenever one likes.
func TestNoTurn(t *testing.T) {
	var p *Place
	if !p.Take(100) {
		t.Error("nil waits")
	}
	p.Pass()
	p.Leave()
}

// TestLeave: who leaves, whether it goes or waits, holds nobody up.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line Line
		a, b, c := newWorker(&line), newWorker(&line), newWorker(&line)
		if !a.Take(8) || b.Take(8) || c.Take(8) || b.Take(8) {
			t.Fatal("the first goes, the others wait")
		}
		b.Pass() // it waits: it has nothing to pass
		b.Leave()
		a.Leave()
		<-c.called
		if !c.Take(8) {
			t.Error("it was called, and it is not its turn")
		}
		if len(b.called) > 0 {
			t.Error("one that left was called")
		}
		if b.Take(8) {
			t.Error("it goes beside another")
		}
		time.Sleep(Hold)
		<-b.called
		if !b.Take(8) || !c.Take(8) {
			t.Error("one that takes long goes on, beside the next")
		}
		c.Pass()
		b.Pass()
		if !a.Take(8) {
			t.Error("nobody goes, and it waits")
		}
	})
}

// TestManyTurns: whatever they ask for and however long they take, each comes to its
// turn, and no more go at once than may, but for those that take long.
func TestManyTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line Line
		var all sync.WaitGroup
		var mu sync.Mutex
		asked, turns := 0, 0
		for i := range 50 {
			w := newWorker(&line)
			asks, takes := 1+i*7%12, time.Duration(100+i*37%4000)*time.Microsecond
			all.Go(func() {
				defer w.Leave()
				for range 20 {
					come := time.Now()
					w.work(asks, takes, func() {
						mu.Lock()
						defer mu.Unlock()
						waited := time.Since(come)
						if asked += asks; asked > max(AtOnce, asks) && waited < Patience {
							t.Errorf("%d requests at once, and the last waited for %v alone", asked, waited)
						} else if waited > Patience {
							t.Errorf("one waited for %v", waited)
						}
						turns++
					}, func() { mu.Lock(); asked -= asks; mu.Unlock() })
					time.Sleep(takes)
				}
			})
		}
		all.Wait()
		if turns != 1000 {
			t.Errorf("%d turns", turns)
		}
	})
}
