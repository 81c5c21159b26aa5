package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"fieldbridge/bridge"
)

const (
	// connectTimeout is how long a new connection may take to send CONNECT.
	connectTimeout = 10 * time.Second
	// stopGrace is how long stopping waits for messages to become safe, so that
	// sensors need not send them again.
	stopGrace = 500 * time.Millisecond
	// sessionExpiry is how long the broker keeps the session of a client that
	// is away, in seconds.
	sessionExpiry = 24 * 60 * 60

	maxMessage = 256 << 10 // bytes of a packet
	maxClients = 1000
)

// embedded is the broker that the gateway embeds.
type embedded struct {
	name   string
	config Broker
	log    *slog.Logger
	ingest func(m message, safe func(error))
	server *mochi.Server

	running sync.WaitGroup // connections
	writers sync.WaitGroup

	mu     sync.Mutex
	listen net.Listener       // guarded by mu; nil while there is none
	fault  error              // guarded by mu; why there is none
	since  time.Time          // guarded by mu; of fault
	conns  map[*conn]struct{} // guarded by mu; all connections
	full   bool               // guarded by mu; the limit of clients was logged

	messages, refused, slow atomic.Uint64
}

func newEmbedded(name string, config Broker, log *slog.Logger) *embedded {
	return &embedded{name: name, config: config, log: log.With("broker", name), conns: make(map[*conn]struct{})}
}

// run serves sensors until ctx ends. An address that can't be listened on is
// tried again and again.
func (e *embedded) run(ctx context.Context, ingest func(message, func(error))) {
	e.ingest = ingest
	if err := e.serve(); err != nil {
		// The broker's own start fails only if a hook does; ours doesn't.
		e.setFault(err)
		<-ctx.Done()
		return
	}
	defer e.stop()
	retry := newBackoff(time.Second, 30*time.Second)
	var config net.ListenConfig
	for ctx.Err() == nil {
		l, err := config.Listen(ctx, "tcp", e.config.Listen)
		if err != nil {
			e.setFault(fmt.Errorf("listen on %s: %w", e.config.Listen, err))
			retry.wait(ctx)
			continue
		}
		retry.reset()
		e.setListener(l)
		stop := context.AfterFunc(ctx, func() { _ = l.Close() })
		err = e.accept(ctx, l)
		stop()
		_ = l.Close()
		e.setListener(nil)
		if ctx.Err() == nil {
			e.setFault(fmt.Errorf("listen on %s: %w", e.config.Listen, err))
			retry.wait(ctx)
		}
	}
}

// serve starts the broker without any listener: connections come from accept.
func (e *embedded) serve() error {
	capabilities := mochi.NewDefaultServerCapabilities()
	capabilities.MaximumClients = maxClients
	capabilities.MaximumPacketSize = maxMessage
	capabilities.MaximumSessionExpiryInterval = sessionExpiry
	capabilities.ReceiveMaximum = maxUnacknowledged
	capabilities.MaximumInflight = 1024
	capabilities.MaximumClientWritesPending = 1024
	capabilities.TopicAliasMaximum = 16
	capabilities.Compatibilities.NoInheritedPropertiesOnAck = true
	e.server = mochi.New(&mochi.Options{
		Capabilities: capabilities,
		Logger:       slog.New(slog.DiscardHandler), // it logs packets; what matters is logged here
		// It stops the world for its statistics.
		SysTopicResendInterval: 60,
	})
	if err := e.server.AddHook(&hook{broker: e}, nil); err != nil {
		return fmt.Errorf("start broker: %w", err)
	}
	if err := e.server.Serve(); err != nil {
		return fmt.Errorf("start broker: %w", err)
	}
	return nil
}

// accept hands connections to the broker until l is closed.
func (e *embedded) accept(ctx context.Context, l net.Listener) error {
	retry := newBackoff(5*time.Millisecond, time.Second)
	for {
		nc, err := l.Accept()
		if err != nil {
			if temporary(err) {
				// Out of file descriptors, mostly: others may be closed soon.
				e.log.Warn("can't accept a connection", "err", err)
				retry.wait(ctx)
				continue
			}
			return err
		}
		c := e.admit(nc)
		if c == nil {
			_ = nc.Close()
			continue
		}
		e.running.Go(func() { e.attend(c) })
	}
}

func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// admit takes a connection in, unless there are too many.
func (e *embedded) admit(nc net.Conn) *conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.conns) >= maxClients {
		if !e.full {
			e.log.Warn("too many connections: more are refused", "max", maxClients)
		}
		e.full = true
		return nil
	}
	e.full = false
	c := newConn(nc, e)
	e.conns[c] = struct{}{}
	return c
}

// attend serves one connection until it ends.
func (e *embedded) attend(c *conn) {
	_ = c.SetDeadline(time.Now().Add(connectTimeout)) // the broker sets its own after CONNECT
	err := e.server.EstablishConnection(e.name, c)
	_ = c.Close()
	cause := c.why()
	switch {
	case errors.Is(cause, errSlowReader):
		e.slow.Add(1)
		e.log.Warn("client disconnected: it does not read what it subscribed to", "remote", c.RemoteAddr())
	default:
		e.log.Debug("client gone", "remote", c.RemoteAddr(), "err", err, "cause", cause)
	}
	e.mu.Lock()
	delete(e.conns, c)
	e.mu.Unlock()
}

// stop ends all connections, after a moment for what is not yet acknowledged.
func (e *embedded) stop() {
	grace(e.unacknowledged)
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
	e.writers.Wait()
	_ = e.server.Close() // its hooks don't fail
}

// grace waits until nothing is unacknowledged any more, for stopGrace at most.
func grace(unacknowledged func() int) {
	deadline := time.NewTimer(stopGrace)
	defer deadline.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for unacknowledged() > 0 {
		select {
		case <-poll.C:
		case <-deadline.C:
			return
		}
	}
}

func (e *embedded) connections() []*conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*conn, 0, len(e.conns))
	for c := range e.conns {
		all = append(all, c)
	}
	return all
}

// unacknowledged counts the messages that clients wait for.
func (e *embedded) unacknowledged() int {
	n := 0
	for _, c := range e.connections() {
		c.mu.Lock()
		n += c.acks.len()
		c.mu.Unlock()
	}
	return n
}

func (e *embedded) setListener(l net.Listener) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listen = l
	if l != nil {
		e.fault = nil
		e.log.Info("listening for sensors", "address", l.Addr().String())
	}
}

// setFault remembers why nobody can connect, and logs it if it is news.
func (e *embedded) setFault(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fault == nil || e.fault.Error() != err.Error() {
		e.log.Error("no sensor can connect", "err", err)
	}
	if e.fault == nil {
		e.since = time.Now()
	}
	e.fault = err
}

func (e *embedded) addr() net.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listen == nil {
		return nil
	}
	return e.listen.Addr()
}

func (e *embedded) health() []bridge.Condition {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fault == nil {
		return nil
	}
	return []bridge.Condition{{Severity: bridge.Alarm, Subject: "mqtt " + e.name, Since: e.since,
		Text: e.fault.Error() + ": no sensor can connect; free the address or change listen"}}
}
