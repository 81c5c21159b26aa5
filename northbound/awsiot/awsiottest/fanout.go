package awsiottest

import (
	"sync"
	"sync/atomic"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// fanOut keeps apart what mochi must not do at once: while a client's goroutine
// looks for a message to send next, it takes a read lock twice
// (Inflight.NextImmediate); a publisher to the client that asks for the lock in
// between stops both for ever. And an acknowledgement that overtakes the count of
// its message takes one from the client's Receive Maximum for ever.
type fanOut struct{ mu sync.RWMutex }

// publish hands a message to the subscribers.
func (f *fanOut) publish(publish func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return publish()
}

// turn is a client's goroutine between a packet and the next read. At the end of
// the server another goroutine may end it, too.
type turn struct {
	fanOut *fanOut
	taken  atomic.Bool
}

// take begins it; publishers wait.
func (t *turn) take() {
	if !t.taken.Load() {
		t.fanOut.mu.RLock()
		t.taken.Store(true)
	}
}

// end ends it, if it has begun.
func (t *turn) end() {
	if t.taken.CompareAndSwap(true, false) {
		t.fanOut.mu.RUnlock()
	}
}

// OnPacketProcessed runs before mochi looks for a message to send next.
func (h *hook) OnPacketProcessed(cl *mochi.Client, _ packets.Packet, err error) {
	if s, ok := cl.Net.Conn.(*mqttConn); ok && err == nil && cl.State.Inflight.Len() > 0 {
		s.turn.take()
	}
}
