package broker

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/blackbox"
	"fieldbridge/socket"
	"fieldbridge/southbound/mqtt/topic"
	"fieldbridge/southbound/mqtt/trouble"
	"fieldbridge/southbound/mqtt/weigh"
)

const (
	// maxUnsent bounds what waits for a client that reads slowly, in bytes
	// beside the largest message. Beyond it the client is disconnected.
	maxUnsent = 256 << 10
	// farewell is how long a connection that is being closed may take to send
	// what waits.
	farewell = time.Second
	// deadlineSlack is how much later than asked for a silent client is given up.
	deadlineSlack = 500 * time.Millisecond
)

var errSlowReader = errors.New("the client does not read what it subscribed to")

// conn is a client's connection to the embedded broker. It does three things
// for the broker, which has none of them:
//
// Write never waits: what is written is sent by the flusher, and if the client
// is slow by a goroutine that exists while there is something to send. The
// broker writes to a client while it holds the client's lock, which publishers
// to that client want too, so one slow reader would stop them all.
//
// It keeps the acknowledgements of what the client published until the
// messages are safe, in the order in which they came (MQTT-4.6.0-2).
//
// Read takes simple messages past the broker.
type conn struct {
	net.Conn
	raw    net.Conn         // closed instead of Conn: TLS says goodbye first, and waits for that
	try    socket.TryWriter // Conn; nil if it cannot, with TLS mostly
	limit  int              // bytes that may wait to be sent
	broker *Broker

	remote string // the client's address
	ctx    context.Context
	cancel context.CancelFunc // ends ctx with the connection

	mu      sync.Mutex
	client  *mochi.Client // guarded by mu; nil until CONNECT
	writing int           // guarded by mu; bytes that are being sent, beside out
	charged int64         // guarded by mu; what is taken of the budget for unsent bytes
	out     []byte        // guarded by mu; to be sent
	spare   []byte        // guarded by mu; the buffer that was sent last
	sending bool          // guarded by mu; somebody sends, or will
	closed  bool          // guarded by mu; nothing more is taken
	cause   error         // guarded by mu; why it was closed by us

	paused atomic.Bool // nothing more is read: see refusedLocked; set under mu

	acks acks             // guarded by mu
	told blackbox.Packets // guarded by mu; records what we send
	pace pace             // guarded by mu
	room sync.Cond

	stream
	publisher
	in       blackbox.Packets // of the reading goroutine; records what comes
	deadline time.Time        // of the reading goroutine; as set
	patience time.Duration    // of the reading goroutine; how long the client may be silent, 0 is for ever
	topics   []topic.Filter   // that the client may use, nil is all; set before the first packet after CONNECT
	bridge   bool             // of the reading goroutine; another broker, which says so in CONNECT
	refusal  packets.Code     // of the reading goroutine; why CONNECT is refused, if there is a better word for it
	refused  bool             // of the reading goroutine; CONNECT was
}

// newConn wraps a connection to e; raw is what is under its TLS, if it has that.
func newConn(c, raw net.Conn, e *Broker) *conn {
	nc := &conn{Conn: c, raw: raw, limit: maxUnsent + e.packetLimit(), broker: e,
		remote: c.RemoteAddr().String()}
	nc.ctx, nc.cancel = context.WithCancel(context.Background())
	nc.try, _ = c.(socket.TryWriter)
	nc.room.L = &nc.mu
	if e.Tape != nil {
		id := e.Tape.Conn("client from " + nc.remote)
		nc.in = blackbox.NewPackets(e.Tape, blackbox.Received, id)
		nc.told = blackbox.NewPackets(e.Tape, blackbox.Sent, id)
	}
	return nc
}

// Write takes b to be sent. It does not wait.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	if len(b) > 0 && b[0] == disconnect && c.versionLocked() < 5 {
		return len(b), nil // only clients send it in MQTT 3.1.1; closing the connection follows
	}
	if len(c.out)+c.writing+len(b) > c.limit || !c.chargeLocked(len(b)) {
		c.abortLocked(errSlowReader)
		return 0, errSlowReader
	}
	c.out = append(c.out, b...)
	c.told.Write(b)
	c.sendLocked()
	return len(b), nil
}

// freeUnsent is how many unsent bytes of each connection are not counted: what
// is sent at once costs no look at the budget.
const freeUnsent = 16 << 10

// chargeLocked takes what waits to be sent, and more that will, from the budget of
// all clients. If that is used up, the client with most goes: if that is this
// one, chargeLocked returns false.
func (c *conn) chargeLocked(more int) bool {
	want := max(int64(len(c.out)+c.writing+more)-freeUnsent, 0)
	pool, n := c.broker.memory.Unsent, want-c.charged
	if n == 0 {
		return true
	}
	if n < 0 {
		pool.Give(c.remote, -n)
	} else if !pool.Take(c.remote, n) {
		worst, has := pool.Largest()
		if worst == c.remote || has <= want {
			c.broker.memory.Blame(weigh.TooMuchUnsent, c.whoLocked().String())
			return false
		}
		pool.Force(c.remote, n)
		c.broker.endReader(worst)
	}
	c.charged = want
	return true
}

// who returns who the client is.
func (c *conn) who() trouble.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.whoLocked()
}

func (c *conn) whoLocked() trouble.Client {
	if c.client == nil {
		return trouble.Client{Remote: c.remote}
	}
	return who(c.client)
}

// sendLocked sees to it that what is in out is sent.
func (c *conn) sendLocked() {
	if c.sending || len(c.out) == 0 {
		return
	}
	c.sending = true
	if c.try != nil {
		c.broker.flusher.add(c)
	} else {
		c.broker.writers.Go(c.send)
	}
}

// flush sends what waits, if that can be done without waiting; what is left
// then has a goroutine of its own. It is the flusher's.
func (c *conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) > 0 {
		n, err := c.try.TryWrite(c.out)
		if err != nil {
			c.abortLocked(err)
		} else if c.out = c.out[:copy(c.out, c.out[n:])]; len(c.out) > 0 {
			c.broker.writers.Go(c.send)
			return
		}
	}
	c.sentLocked()
}

// sentLocked is the end of sending.
func (c *conn) sentLocked() {
	if cap(c.out) > 64<<10 {
		c.out = nil
	}
	c.sending = false
	c.chargeLocked(0)
	if c.closed {
		_ = c.raw.Close()
	}
}

// send writes all that waits, as few large writes, and closes the connection
// afterwards if that was asked for.
func (c *conn) send() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) > 0 {
		b := c.out
		c.out, c.spare, c.writing = c.spare[:0], nil, len(b)
		c.mu.Unlock()
		_, err := c.Conn.Write(b) // ends when the connection is closed, for one reason or another
		c.mu.Lock()
		c.writing = 0
		c.chargeLocked(0)
		if cap(b) <= 64<<10 {
			c.spare = b
		}
		if err != nil {
			c.abortLocked(err)
			break
		}
	}
	c.sentLocked()
}

// extend sets the deadline for reading anew, as the broker does with the packets
// that it gets.
func (c *conn) extend() {
	if c.patience > 0 {
		_ = c.SetDeadline(c.now.Add(c.patience))
	}
}

// SetDeadline sets the deadline for reading: the broker's keep-alive, once and a
// half of what the client promised, which the broker rounds down. It is asked
// for with every packet, and set some times a second. It is called by the
// goroutine that reads.
func (c *conn) SetDeadline(t time.Time) error {
	if !t.IsZero() {
		t = t.Add(deadlineSlack)
		if later := t.Sub(c.deadline); later >= 0 && later < deadlineSlack {
			return nil
		}
	}
	c.deadline = t
	return c.SetReadDeadline(t)
}

// Close closes the connection once what waits has been sent, or after a second.
// It does not wait for that.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked(nil)
	return nil
}

func (c *conn) closeLocked(cause error) {
	if c.closed {
		return
	}
	c.closed, c.cause = true, cause
	c.cancel()
	c.acks.clear()
	c.room.Broadcast()
	c.broker.memory.Arrivals.Give(c)
	if c.sending {
		_ = c.SetWriteDeadline(time.Now().Add(farewell))
		return
	}
	_ = c.raw.Close()
}

// abortLocked closes the connection at once.
func (c *conn) abortLocked(cause error) {
	c.out = nil
	c.chargeLocked(0)
	c.closeLocked(cause)
	_ = c.raw.Close()
}

func (c *conn) abort(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abortLocked(cause)
}

func (c *conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// why returns why the connection was closed by us, nil if it was not.
func (c *conn) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}
