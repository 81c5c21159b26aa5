package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/weigh"
)

const (
	// sessionExpiry is how long the broker keeps the session of a client that
	// is away, in seconds.
	sessionExpiry = 24 * 60 * 60
	// maxSubscriptions is how many a client may have.
	maxSubscriptions = 1000
	// maxLevels is how many levels a topic may have: the broker has a node in
	// memory for each.
	maxLevels = 100
	// maxOutbound is how many messages a client may leave unacknowledged.
	maxOutbound = 1024
	// maxAliases is how many topic aliases a client may use.
	maxAliases = 16
	// tellEvery is how often the same trouble with clients is logged.
	tellEvery = 10 * time.Second
)

// Broker is the broker that the gateway embeds. Its methods are safe for
// concurrent use.
type Broker struct {
	name    string
	config  inlet.Broker
	log     *slog.Logger
	access  access
	ingest  inlet.Ingest
	server  *mochi.Server
	ports   []*port
	repeats repeats
	memory  *weigh.Memory
	// connectTimeout is how long a new connection may take to send CONNECT.
	connectTimeout time.Duration

	running  sync.WaitGroup // connections
	writers  sync.WaitGroup
	flusher  *flusher
	flushing sync.WaitGroup
	quiet    chan struct{} // closed to end the flusher

	mu        sync.Mutex
	guessedAt time.Time          // guarded by mu; when the last run of refused logins began
	conns     map[*conn]struct{} // guarded by mu; all connections
	full      bool               // guarded by mu; the limit of clients was logged

	strangers weigh.Strangers[*conn] // guarded by mu; those of conns that have not logged in

	deniedAt time.Time // guarded by mu; the last line about a refused client
	brokeAt  time.Time // guarded by mu; the last line about one that made the broker panic

	stopping atomic.Bool // last wills are ours to blame now

	messages, refused, slow, unwelcome atomic.Uint64
}

// New returns a broker called name. It starts nothing.
func New(name string, config inlet.Broker, log *slog.Logger) (*Broker, error) {
	e := &Broker{name: name, config: config, log: log.With("broker", name), conns: make(map[*conn]struct{}),
		connectTimeout: 10 * time.Second}
	e.memory = weigh.New(e.log)
	if config.Listen != "" {
		e.ports = append(e.ports, &port{address: config.Listen})
	}
	if config.TLS != nil {
		e.ports = append(e.ports, &port{address: config.TLS.Listen, tls: config.TLS})
	}
	var err error
	e.access, err = newAccess(config)
	return e, err
}

// Run serves sensors until ctx ends, and returns when all that it started has
// ended; it may be called again afterwards. It does not fail: an address that is
// taken, or a certificate that cannot be read, is tried again and told by Health.
func (e *Broker) Run(ctx context.Context, ingest inlet.Ingest) {
	e.ingest = ingest
	e.stopping.Store(false)
	if err := e.serve(); err != nil {
		// The broker's own start fails only if a hook does; ours does not.
		e.log.Error("no sensor can connect", "err", err)
		<-ctx.Done()
		return
	}
	var listening sync.WaitGroup
	for _, p := range e.ports {
		listening.Go(func() { e.listen(ctx, p) })
	}
	listening.Wait()
	e.stop()
}

// serve starts the broker without any listener: connections come from accept.
// stop ends it.
func (e *Broker) serve() error {
	capabilities := mochi.NewDefaultServerCapabilities()
	capabilities.MaximumClients = int64(e.config.ClientLimit())
	capabilities.MaximumPacketSize = uint32(e.config.PacketLimit())
	capabilities.MaximumSessionExpiryInterval = sessionExpiry
	capabilities.MaximumMessageExpiryInterval = 0 // or retained messages would end after a day
	capabilities.ReceiveMaximum = maxUnacknowledged
	capabilities.MaximumInflight = maxOutbound
	capabilities.MaximumClientWritesPending = 1024
	capabilities.TopicAliasMaximum = maxAliases
	capabilities.Compatibilities.NoInheritedPropertiesOnAck = true
	e.server = mochi.New(&mochi.Options{
		Capabilities: capabilities,
		Logger:       slog.New(slog.DiscardHandler), // it logs packets; what matters is logged here
		// It stops the world for its statistics.
		SysTopicResendInterval: 60,
		// conn has the buffer.
		ClientNetReadBufferSize: 256,
	})
	if err := e.server.AddHook(&hook{broker: e}, nil); err != nil {
		return fmt.Errorf("start broker: %w", err)
	}
	if err := e.server.Serve(); err != nil {
		return fmt.Errorf("start broker: %w", err)
	}
	e.flusher, e.quiet = newFlusher(), make(chan struct{})
	e.flushing.Go(func() { e.flusher.run(e.quiet) })
	return nil
}

// establish runs the broker's part. A panic in it ends one connection, not
// the gateway.
func (e *Broker) establish(c *conn) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", errPanic, p, debug.Stack())
			e.clean(c)
		}
	}()
	return e.server.EstablishConnection(e.name, c)
}

// clean does what the broker's library does at the end of a connection, after it
// panicked in the middle: the last will is sent, and nothing of the session stays.
func (e *Broker) clean(c *conn) {
	defer func() {
		if p := recover(); p != nil {
			e.log.Error("a client could not be cleared away", "remote", c.remote, "err", p)
		}
	}()
	if c.self == nil {
		return
	}
	cl := c.self
	if now, ok := e.server.Clients.Get(cl.ID); !ok || now != cl {
		return // another connection has the session
	}
	h := &hook{broker: e}
	if will := cl.Properties.Will; atomic.LoadUint32(&cl.Properties.Will.Flag) != 0 && !e.stopping.Load() {
		pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: will.Qos,
			Retain: will.Retain && h.mayRetain(cl, will.TopicName, will.Payload)},
			TopicName: will.TopicName, Payload: will.Payload}
		e.forward(c, pk)
		h.OnWillSent(cl, pk)
	}
	cl.ClearInflights()
	e.server.UnsubscribeClient(cl)
	e.server.Clients.Delete(cl.ID)
	h.OnDisconnect(cl, errPanic, true)
}

var errPanic = errors.New("the broker panicked")

// Publish sends a message to local subscribers, as QoS 0, while Run runs. It does
// not wait.
func (e *Broker) Publish(topic string, payload []byte) {
	voice := e.server.NewClient(nil, mochi.LocalListener, mochi.InlineClientId, true)
	err := e.server.InjectPacket(voice, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish},
		TopicName: topic, Payload: payload})
	if err != nil {
		e.log.Debug("message not given to local subscribers", "topic", topic, "err", err)
	}
}

// admit takes a connection in. Only clients that have logged in count against
// max_clients; the others have a few places of their own.
func (e *Broker) admit(nc, raw net.Conn) *conn {
	c := newConn(nc, raw, e)
	e.mu.Lock()
	e.conns[c] = struct{}{}
	out, full := e.strangers.Add(c, host(c))
	e.mu.Unlock()
	if full {
		e.memory.Blame(weigh.TooManySilent, host(out))
		out.abort(errStranger)
	}
	return c
}

// tellFull logs once that there are as many clients as may be.
func (e *Broker) tellFull(full bool) {
	e.mu.Lock()
	news := full && !e.full
	e.full = full
	e.mu.Unlock()
	if news {
		e.log.Warn("too many clients: more are refused", "max_clients", e.config.ClientLimit())
	}
}

// attend serves one connection until it ends.
func (e *Broker) attend(c *conn) {
	_ = c.SetDeadline(time.Now().Add(e.connectTimeout)) // the broker sets its own after CONNECT
	err := e.establish(c)
	_ = c.Close()
	cause := c.why()
	e.tellFull(errors.Is(err, packets.ErrServerBusy))
	e.leave(c)
	switch {
	case errors.Is(cause, errSlowReader):
		e.slow.Add(1)
		e.log.Warn("client disconnected: it does not read what it subscribed to", "remote", c.RemoteAddr())
	case errors.Is(err, errPanic):
		if e.mayTell(&e.brokeAt) {
			e.log.Error("client disconnected: what it sent made the broker panic; please report this", "remote",
				c.RemoteAddr(), "err", err)
		}
	default:
		e.log.Debug("client gone", "remote", c.RemoteAddr(), "err", err, "cause", cause)
	}
}

// leave is the end of a connection. Its session may stay: what is of the
// connection alone does not.
func (e *Broker) leave(c *conn) {
	e.mu.Lock()
	delete(e.conns, c)
	e.strangers.Remove(c)
	e.mu.Unlock()
	e.memory.Arrivals.Give(c)
	c.buffer, c.known = nil, nil
	c.mu.Lock()
	cl := c.client
	c.mu.Unlock()
	if cl != nil {
		e.recount(cl.ID)
	}
}

// endReader ends the connection of an address: it does not read.
func (e *Broker) endReader(remote string) {
	e.writers.Go(func() {
		for _, c := range e.connections() {
			if c.remote == remote {
				e.memory.Blame(weigh.TooMuchUnsent, c.name())
				c.abort(errSlowReader)
			}
		}
	})
}

// forget is the end of a session.
func (e *Broker) forget(session string) {
	e.repeats.forget(session)
	e.memory.Logins.Drop(session)
}

// Limit sets how many bytes clients may make the broker keep. It may be called at
// any time.
func (e *Broker) Limit(bytes int64) { e.memory.Limit(bytes) }

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
		}
	}
	e.recount(cl.ID)
}

// recount puts right what is counted of a session: the broker's library does not
// tell of each message that it forgets.
func (e *Broker) recount(session string) {
	sizes := make(map[uint16]int)
	if cl, ok := e.server.Clients.Get(session); ok {
		for _, pk := range cl.State.Inflight.GetAll(false) {
			if pk.FixedHeader.Type == packets.Publish {
				sizes[pk.PacketID] = len(pk.Payload) + len(pk.TopicName)
			}
		}
	}
	e.memory.Recount(session, sizes)
}

// host returns the address of a client without its port.
func host(c net.Conn) string {
	h, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return c.RemoteAddr().String()
	}
	return h
}

var errStranger = errors.New("the connection has not logged in, and others want to")

// mayStay reports whether the broker may keep the session of a new client when
// it goes: no more than there may be clients.
func (e *Broker) mayStay(id string) bool {
	_, known := e.server.Clients.Get(id)
	return known || e.server.Clients.Len() < 2*e.config.ClientLimit()
}

// denied counts a client that may not connect, and logs it from time to time:
// many clients come back every second.
func (e *Broker) denied(user string, cl *mochi.Client, cause error) {
	e.unwelcome.Add(1)
	e.mu.Lock()
	if e.access.guard.Refused() < manyRefused {
		e.guessedAt = time.Now()
	}
	e.mu.Unlock()
	if e.mayTell(&e.deniedAt) {
		e.log.Warn("client refused", "client", clientID(cl), "user", user, "remote", cl.Net.Remote, "cause", cause)
	}
}

// mayTell reports whether a line that was logged last at a time guarded by mu
// may be logged again.
func (e *Broker) mayTell(last *time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Since(*last) < tellEvery {
		return false
	}
	*last = time.Now()
	return true
}

// stop ends all connections, after a moment for what is not yet acknowledged.
func (e *Broker) stop() {
	inlet.Grace(e.unacknowledged)
	e.stopping.Store(true)
	for _, client := range e.server.Clients.GetAll() {
		if client.Properties.ProtocolVersion >= 5 {
			_ = e.server.DisconnectClient(client, packets.ErrServerShuttingDown)
		} else {
			client.Stop(packets.ErrServerShuttingDown)
		}
	}
	for _, c := range e.connections() {
		_ = c.Close()
	}
	e.running.Wait()
	close(e.quiet)
	e.flushing.Wait()
	e.writers.Wait()
	_ = e.server.Close() // its hooks do not fail
}

// Counts are figures of a broker since it was made, and those of now.
type Counts struct {
	Messages uint64 // that clients published
	Refused  uint64 // not acknowledged since the queue refused them
	Slow     uint64 // clients disconnected since they did not read
	Denied   uint64 // clients that were not let in

	Clients        int // connections now
	Unacknowledged int // messages that clients wait for now
}

// Counts returns the figures of the broker.
func (e *Broker) Counts() Counts {
	return Counts{Messages: e.messages.Load(), Refused: e.refused.Load(), Slow: e.slow.Load(), Denied: e.unwelcome.Load(),
		Clients: len(e.connections()), Unacknowledged: e.unacknowledged()}
}

func (e *Broker) connections() []*conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*conn, 0, len(e.conns))
	for c := range e.conns {
		all = append(all, c)
	}
	return all
}

// unacknowledged counts the messages that clients wait for.
func (e *Broker) unacknowledged() int {
	n := 0
	for _, c := range e.connections() {
		c.mu.Lock()
		n += c.acks.len()
		c.mu.Unlock()
	}
	return n
}
