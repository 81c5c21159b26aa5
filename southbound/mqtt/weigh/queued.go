package weigh

import (
	"sync"

	"fieldbridge/budget"
)

// Queued is how large the messages are that wait for clients' acknowledgements,
// those of clients that are away included; by session.
type Queued struct {
	Pool *budget.Pool

	mu    sync.Mutex
	waits map[string]map[uint16]int64 // guarded by mu; by session and packet id
}

// packetCost is about what a message that waits takes beside its text, in bytes.
const packetCost = 1 << 10

// Queue counts a message of n bytes; of one that is counted already the size may
// change. If there is no room for it, it is counted all the same, and Queue returns
// the session that has most: it has to give way.
func (q *Queued) Queue(session string, id uint16, n int) (greedy string) {
	size := packetCost + int64(n)
	q.mu.Lock()
	if q.waits[session] == nil {
		q.waits[session] = make(map[uint16]int64)
	}
	more := size - q.waits[session][id]
	q.waits[session][id] = size
	q.mu.Unlock()
	if more <= 0 {
		q.Pool.Give(session, -more)
		return ""
	}
	if q.Pool.Take(session, more) {
		return ""
	}
	q.Pool.Force(session, more)
	greedy, _ = q.Pool.Largest()
	return greedy
}

// Unqueue is told that a message waits no more.
func (q *Queued) Unqueue(session string, id uint16) {
	q.mu.Lock()
	defer q.mu.Unlock()
	ids := q.waits[session]
	n, known := ids[id]
	if !known {
		return
	}
	q.Pool.Give(session, n)
	if delete(ids, id); len(ids) == 0 {
		delete(q.waits, session)
	}
}

// Recount puts right what is counted of a session: sizes are those of the messages
// that wait for it, by packet id.
func (q *Queued) Recount(session string, sizes map[uint16]int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.Pool.Drop(session)
	delete(q.waits, session)
	if len(sizes) == 0 {
		return
	}
	now, sum := make(map[uint16]int64, len(sizes)), int64(0)
	for id, n := range sizes {
		now[id] = packetCost + int64(n)
		sum += now[id]
	}
	q.waits[session] = now
	q.Pool.Force(session, sum)
}
