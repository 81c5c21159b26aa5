package broker

import (
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// maxUnacknowledged is how many messages of one client may wait for their
// acknowledgement. MQTT 5 clients are told (Receive Maximum) and disconnected
// if they send more; the socket of others is not read until there is room.
const maxUnacknowledged = 4096

// maxUnreleased is how many QoS 2 messages of one MQTT 3.1.1 client may wait
// for its PUBREL.
const maxUnreleased = 4 * maxUnacknowledged

// Control packets (MQTT 5, section 2.1.2), as their first byte.
const (
	connect      = 0x10
	publish      = 0x30
	puback       = 0x40
	pubrec       = 0x50
	subscription = 0x80
	disconnect   = 0xe0
)

// ack is the acknowledgement that a client waits for.
type ack struct {
	conn   *conn
	client string
	id     uint16
	qos    byte
	held   int32    // see [inlet.Message]
	state  ackState // guarded by conn.mu
	reason byte     // of ackDenied
	heir   *ack     // guarded by conn.mu; the same message on a later connection
}

type ackState uint8

const (
	ackWaiting ackState = iota
	ackSafe
	ackRefused
	ackDenied
)

// acks is a queue of acknowledgements. A popped element's place is reused when
// half of the array is free.
type acks struct {
	queue []*ack
	first int
}

func (a *acks) len() int { return len(a.queue) - a.first }

func (a *acks) push(n *ack) {
	if a.first > 0 && a.first >= len(a.queue)/2 && len(a.queue) == cap(a.queue) {
		n := copy(a.queue, a.queue[a.first:])
		clear(a.queue[n:])
		a.queue, a.first = a.queue[:n], 0
	}
	a.queue = append(a.queue, n)
}

func (a *acks) pop() *ack {
	n := a.queue[a.first]
	a.queue[a.first] = nil
	a.first++
	if a.first == len(a.queue) {
		a.queue, a.first = a.queue[:0], 0
	}
	return n
}

func (a *acks) clear() { *a = acks{} }

// expect puts the acknowledgement of a message that has just been read into
// the queue. It returns nil if the client has too many. A client that cannot
// know the limit waits here, in the goroutine that reads from it alone, until
// there is room or the connection is closed.
func (c *conn) expect(client string, id uint16, qos byte) *ack {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.versionLocked() >= 5 {
		if c.acks.len()+c.unreleasedLocked() >= maxUnacknowledged {
			return nil
		}
	} else if c.unreleasedLocked() >= maxUnreleased {
		return nil
	}
	for c.acks.len() >= maxUnacknowledged && !c.closed {
		c.room.Wait()
	}
	a := &ack{conn: c, client: client, id: id, qos: qos}
	if !c.closed {
		c.acks.push(a)
		a.held = c.pace.came(c.acks.len(), time.Now())
	}
	if qos == 2 {
		c.broker.repeats.put(client, a)
	}
	return a
}

// deny puts the answer to a message that is not taken in its place. MQTT 3.1.1 has
// no way to say no: its clients are told that it arrived, since they would send it
// again and again.
func (c *conn) deny(id uint16, qos byte, reason packets.Code) {
	if qos == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.acks.push(&ack{conn: c, client: c.client.ID, id: id, qos: qos, state: ackDenied, reason: reason.Code})
		c.advanceLocked()
	}
}

// unreleasedLocked counts the messages that wait for the client's PUBREL.
func (c *conn) unreleasedLocked() int {
	if c.client == nil {
		return 0
	}
	return c.client.State.Inflight.Len()
}

func (c *conn) versionLocked() byte {
	if c.client == nil {
		return 0
	}
	return c.client.Properties.ProtocolVersion
}

// safe is told that the message is safe, or that it was refused. It does not
// wait.
func (a *ack) safe(err error) {
	if err == nil {
		a.settle(ackSafe)
		return
	}
	a.conn.broker.refused.Add(1)
	a.settle(ackRefused)
}

func (a *ack) settle(state ackState) {
	c := a.conn
	if state == ackRefused && a.qos == 2 {
		c.broker.repeats.remove(a.client, a) // sent again, it is another message
	}
	c.mu.Lock()
	a.state = state
	heir := a.heir
	c.advanceLocked()
	c.mu.Unlock()
	if heir != nil {
		heir.settle(state)
	}
}

// advanceLocked sends the acknowledgements that are due: all before the first
// message that is not yet safe.
func (c *conn) advanceLocked() {
	sent := false
	for !c.closed && c.acks.len() > 0 && c.acks.queue[c.acks.first].state != ackWaiting {
		a := c.acks.pop()
		if a.state == ackRefused && c.versionLocked() < 5 {
			// MQTT 3.1.1 has no way to say no: unacknowledged, it is sent again.
			c.sendLocked()
			c.refusedLocked(a.client)
			return
		}
		c.out = a.append(c.out)
		sent = true
	}
	if sent {
		if c.acks.len() == 0 {
			c.pace.answered(time.Now())
		}
		c.sendLocked()
		c.room.Broadcast()
	}
}

// refusedLocked ends the connection, at once or when the client may send again.
func (c *conn) refusedLocked(session string) {
	e := c.broker
	e.refusing.Lock()
	wait := e.refusals.next(session, time.Now())
	e.refusing.Unlock()
	if wait == 0 {
		c.closeLocked(errRefused)
		return
	}
	c.paused.Store(true)
	c.acks.clear()
	time.AfterFunc(wait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.closeLocked(errRefused)
	})
}

// awaitEnd waits for the end of a connection.
func (c *conn) awaitEnd() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed {
		c.room.Wait()
	}
}

// append writes the packet that answers a PUBLISH (MQTT 5, sections 3.4 and
// 3.5; the short form is that of MQTT 3.1.1).
func (a *ack) append(b []byte) []byte {
	kind := byte(puback)
	if a.qos == 2 {
		kind = pubrec
	}
	hi, lo := byte(a.id>>8), byte(a.id)
	switch {
	case a.state == ackRefused:
		return append(b, kind, 3, hi, lo, packets.ErrQuotaExceeded.Code)
	case a.state == ackDenied && a.conn.versionLocked() >= 5:
		return append(b, kind, 3, hi, lo, a.reason)
	}
	if a.qos == 2 {
		// The broker answers the client's PUBREL, and the same PUBLISH again, if
		// it knows the id.
		a.conn.client.State.Inflight.Set(packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Pubrec}, PacketID: a.id, Created: time.Now().Unix()})
		a.conn.broker.repeats.remove(a.client, a)
	}
	return append(b, kind, 2, hi, lo)
}
