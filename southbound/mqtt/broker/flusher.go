package broker

import "sync"

// flusher sends what is due on the connections of a broker. When the cloud
// acknowledges a message, acknowledgements are due on many connections: one
// goroutine writes them all, and those of one connection at once.
type flusher struct {
	wake chan struct{} // receives a value when there is something to do

	mu  sync.Mutex
	due []*conn // guarded by mu
}

func newFlusher() *flusher { return &flusher{wake: make(chan struct{}, 1)} }

// add takes a connection with something to send. It does not wait.
func (f *flusher) add(c *conn) {
	f.mu.Lock()
	f.due = append(f.due, c)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run sends until done is closed, and what is due then.
func (f *flusher) run(done <-chan struct{}) {
	var due []*conn
	for ended := false; !ended; {
		select {
		case <-f.wake:
		case <-done:
			ended = true
		}
		f.mu.Lock()
		due, f.due = f.due, due[:0]
		f.mu.Unlock()
		for _, c := range due {
			c.flush()
		}
		clear(due)
	}
}
