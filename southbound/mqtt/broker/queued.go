package broker

import (
	"sync"
	"sync/atomic"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// queues is how large the messages are that wait for clients' acknowledgements,
// those of clients that are away included.
type queues struct {
	mu    sync.Mutex
	waits map[string]map[uint16]int64 // guarded by mu; by session and packet id
}

// packetCost is about what a message that waits takes beside its text, in bytes.
const packetCost = 1 << 10

// put counts a message; of one that is counted already only the size changes.
func (q *queues) put(session string, id uint16, n int64) (more int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waits == nil {
		q.waits = make(map[string]map[uint16]int64)
	}
	if q.waits[session] == nil {
		q.waits[session] = make(map[uint16]int64)
	}
	more = n - q.waits[session][id]
	q.waits[session][id] = n
	return more
}

// remove returns how large the message was.
func (q *queues) remove(session string, id uint16) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	ids := q.waits[session]
	n := ids[id]
	delete(ids, id)
	if len(ids) == 0 {
		delete(q.waits, session)
	}
	return n
}

// OnQosPublish is called when a message begins to wait for a client, and when it
// is sent again. If there is no room for it, the session that has most loses what
// it has: if that is another's, the message stays.
func (h *hook) OnQosPublish(cl *mochi.Client, pk packets.Packet, _ int64, _ int) {
	if pk.FixedHeader.Type != packets.Publish {
		return
	}
	e, pool := h.broker, h.broker.memory.queued
	n := packetCost + int64(len(pk.Payload)+len(pk.TopicName))
	more := e.queues.put(cl.ID, pk.PacketID, n)
	if more <= 0 || pool.Take(cl.ID, more) {
		if more < 0 {
			pool.Give(cl.ID, -more)
		}
		return
	}
	pool.Force(cl.ID, more)
	most, _ := pool.Largest()
	victim := cl
	if most != cl.ID {
		if other, ok := e.server.Clients.Get(most); ok {
			victim = other
		}
	}
	e.blame(tooMuchQueued, clientName(victim))
	e.shed(victim)
}

// shed makes a session lose what waits for it. A client that is there goes: it
// does not acknowledge.
func (e *Broker) shed(cl *mochi.Client) {
	if c, ok := cl.Net.Conn.(*conn); ok {
		e.writers.Go(func() { c.abort(errSlowReader) })
	}
	cl.State.Inflight.ResetSendQuota(0) // or the broker puts the message back that it holds now
	for _, waits := range cl.State.Inflight.GetAll(false) {
		if waits.FixedHeader.Type == packets.Publish && cl.State.Inflight.Delete(waits.PacketID) {
			atomic.AddInt64(&e.server.Info.Inflight, -1)
			e.unqueue(cl.ID, waits.PacketID)
		}
	}
	e.recount(cl.ID)
}

func (e *Broker) unqueue(session string, id uint16) {
	if n := e.queues.remove(session, id); n > 0 {
		e.memory.queued.Give(session, n)
	}
}

// recount puts right what is counted of a session: the broker's library does not
// tell of each message that it forgets.
func (e *Broker) recount(session string) {
	var all []packets.Packet
	if cl, ok := e.server.Clients.Get(session); ok {
		all = cl.State.Inflight.GetAll(false)
	}
	now := make(map[uint16]int64)
	sum := int64(0)
	for _, pk := range all {
		if pk.FixedHeader.Type == packets.Publish {
			now[pk.PacketID] = packetCost + int64(len(pk.Payload)+len(pk.TopicName))
			sum += now[pk.PacketID]
		}
	}
	q := &e.queues
	q.mu.Lock()
	defer q.mu.Unlock()
	e.memory.queued.Drop(session)
	if len(now) == 0 {
		delete(q.waits, session)
		return
	}
	if q.waits == nil {
		q.waits = make(map[string]map[uint16]int64)
	}
	q.waits[session] = now
	e.memory.queued.Force(session, sum)
}

// OnQosComplete is called when a message was acknowledged.
func (h *hook) OnQosComplete(cl *mochi.Client, pk packets.Packet) {
	h.broker.unqueue(cl.ID, pk.PacketID)
}

// OnQosDropped is called when a message is forgotten.
func (h *hook) OnQosDropped(cl *mochi.Client, pk packets.Packet) {
	h.broker.unqueue(cl.ID, pk.PacketID)
}
