package broker

import "sync"

// repeats remembers the QoS 2 messages that were taken and whose PUBREC is not
// sent yet, over the end of the connection: a client that comes back to its
// session sends them again, and they must not be taken twice (MQTT-4.3.3-10).
// Once PUBREC is sent, the broker remembers them itself.
type repeats struct {
	mu       sync.Mutex
	byClient map[string]map[uint16]*ack // guarded by mu
}

func (l *repeats) put(client string, a *ack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byClient == nil {
		l.byClient = make(map[string]map[uint16]*ack)
	}
	if l.byClient[client] == nil {
		l.byClient[client] = make(map[uint16]*ack)
	}
	l.byClient[client][a.id] = a
}

func (l *repeats) get(client string, id uint16) *ack {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byClient[client][id]
}

// remove takes a out, unless another has its place.
func (l *repeats) remove(client string, a *ack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ids := l.byClient[client]; ids[a.id] == a {
		delete(ids, a.id)
		if len(ids) == 0 {
			delete(l.byClient, client)
		}
	}
}

// forget ends a client's session.
func (l *repeats) forget(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byClient, client)
}

// again takes a QoS 2 message that may have been taken on an earlier connection.
// It reports whether it was: then its PUBREC follows when it is due.
func (c *conn) again(client string, id uint16) bool {
	old := c.broker.repeats.get(client, id)
	if old == nil {
		return false
	}
	if old.conn == c {
		return true // its PUBREC is on the way
	}
	if a := c.expect(client, id, 2); a != nil {
		old.bequeath(a)
	}
	return true
}

// bequeath makes heir be answered as a is.
func (a *ack) bequeath(heir *ack) {
	a.conn.mu.Lock()
	state := a.state
	if state == ackWaiting {
		a.heir = heir
	}
	a.conn.mu.Unlock()
	if state != ackWaiting {
		heir.settle(state)
	}
}
