package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/blackbox"
	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/trouble"
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
	// leastPacket is how long a packet may be even where there is little memory,
	// unless the configuration says otherwise.
	leastPacket = 256 << 10
	// maxAliases is how many topic aliases a client may use.
	maxAliases = 16
	// tellEvery is how often a panic is logged.
	tellEvery = 10 * time.Second
)

// What mochi tests itself with is a variable of its package: 0.4 MB of small pieces that
// nobody reads here, and that the collector of garbage would look through each time.
func init() { packets.TPacketData = nil }

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
	packets atomic.Int64 // bytes of the longest packet that is taken
	trouble *trouble.List
	// connectTimeout is how long a new connection may take to send CONNECT.
	connectTimeout time.Duration
	// State keeps what is retained over restarts; nil does not. It is set before Run.
	State bridge.State
	// Tape records the packets of all clients, if it is not nil. It is set before Run.
	Tape *blackbox.Tape

	running  sync.WaitGroup // connections
	writers  sync.WaitGroup
	flusher  *flusher
	flushing sync.WaitGroup
	quiet    chan struct{} // closed to end the flusher

	mu        sync.Mutex
	guessedAt time.Time          // guarded by mu; when the last run of refused logins began
	conns     map[*conn]struct{} // guarded by mu; all connections
	rivals    trouble.Rivals     // guarded by mu

	refusing sync.Mutex
	refusals refusals // guarded by refusing, which is taken under a connection's mu

	strangers weigh.Strangers[*conn] // guarded by mu; those of conns that have not logged in

	brokeAt time.Time // guarded by mu; the last line about one that made the broker panic

	stopping atomic.Bool // last wills are ours to blame now

	messages, refused, slow, unwelcome atomic.Uint64
}

// New returns a broker called name. It starts nothing.
func New(name string, config inlet.Broker, log *slog.Logger) (*Broker, error) {
	e := &Broker{name: name, config: config, log: log.With("broker", name), conns: make(map[*conn]struct{}),
		connectTimeout: 10 * time.Second}
	e.memory = weigh.New()
	e.fitPackets()
	e.trouble = trouble.NewList(e.log)
	var secure inlet.Addresses
	if config.TLS != nil {
		secure = config.TLS.Listen
	}
	for i, address := range slices.Concat(config.Listen, secure) {
		of := config.TLS
		if i < len(config.Listen) {
			of = nil
		}
		p, err := newPort(address, of, config.Origins)
		if err != nil {
			return nil, err
		}
		e.ports = append(e.ports, p)
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
	save := e.keep()
	var listening sync.WaitGroup
	for _, p := range e.ports {
		listening.Go(func() { e.listen(ctx, p) })
	}
	if len(e.config.Publish) > 0 {
		listening.Go(func() { e.repeat(ctx) })
	}
	listening.Wait()
	inlet.Grace(e.unacknowledged)
	save()
	e.stop()
}

// repeat sends the messages that are sent at intervals, until ctx ends.
func (e *Broker) repeat(ctx context.Context) {
	regular := inlet.NewRegular(e.config.Publish)
	for {
		due, stop := regular.Timer()
		select {
		case <-ctx.Done():
			stop()
			return
		case <-due:
		}
		for _, out := range regular.Take() {
			e.publish(out.Topic, []byte(out.Payload), out.Retain)
		}
	}
}

// keep brings back what was retained, and saves it until the returned function is
// called. That is when the broker is about to stop: clients that end then have not
// died, and what their last wills would retain is not true.
func (e *Broker) keep() (stop func()) {
	if e.State == nil {
		return func() {}
	}
	k := &keeper{broker: e, state: e.State}
	k.restore()
	done := make(chan struct{})
	var saving sync.WaitGroup
	saving.Go(func() { k.run(done) })
	return func() {
		close(done)
		saving.Wait()
		k.save()
	}
}

// serve starts the broker without any listener: connections come from accept.
// stop ends it.
func (e *Broker) serve() error {
	capabilities := mochi.NewDefaultServerCapabilities()
	capabilities.MaximumClients = int64(e.config.ClientLimit())
	capabilities.MaximumPacketSize = math.MaxUint32 // see stream.packet
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
func (e *Broker) Publish(topic string, payload []byte) { e.publish(topic, payload, false) }

func (e *Broker) publish(topic string, payload []byte, retain bool) {
	voice := e.server.NewClient(nil, mochi.LocalListener, mochi.InlineClientId, true)
	err := e.server.InjectPacket(voice, packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish,
		Retain: retain},
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
		e.trouble.Note(trouble.Memory, trouble.Client{Remote: out.remote}, weigh.TooManySilent)
		out.abort(errStranger)
	}
	return c
}

// attend serves one connection until it ends.
func (e *Broker) attend(c *conn) {
	_ = c.SetDeadline(time.Now().Add(e.connectTimeout)) // the broker sets its own after CONNECT
	err := e.establish(c)
	_ = c.Close()
	e.leave(c)
	if errors.Is(err, errPanic) {
		if e.mayTell(&e.brokeAt) {
			e.log.Error("client disconnected: what it sent made the broker panic; please report this", "remote",
				c.RemoteAddr(), "err", err)
		}
		return
	}
	e.explain(c, err)
	e.log.Debug("client gone", "remote", c.RemoteAddr(), "err", err, "cause", c.why())
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
				e.blame(weigh.TooMuchUnsent, c.who())
				c.abort(errSlowReader)
			}
		}
	})
}

// forget is the end of a session.
func (e *Broker) forget(session string) {
	e.repeats.forget(session)
	e.memory.Logins.Drop(session)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rivals.Forget(session)
}

// Limit sets how many bytes clients may make the broker keep. It may be called at
// any time.
func (e *Broker) Limit(bytes int64) {
	e.memory.Limit(bytes)
	e.fitPackets()
}

// fitPackets sets how long a packet may be: what the configuration says, or as
// much as leaves memory for others that arrive at the same time.
func (e *Broker) fitPackets() {
	limit := int64(e.config.PacketLimit())
	if _, most, _ := e.memory.Arriving(); e.config.MaxMessage == 0 {
		limit = max(min(limit, most/3), leastPacket)
	}
	e.packets.Store(limit)
}

// packetLimit returns how long a packet may be.
func (e *Broker) packetLimit() int { return int(e.packets.Load()) }

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

// stop ends all connections.
func (e *Broker) stop() {
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
