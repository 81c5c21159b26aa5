package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"fieldbridge/condition"
	"fieldbridge/pause"
	"fieldbridge/socket"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/websocket"
)

// port is an address on which an embedded broker listens.
type port struct {
	inlet.Listener
	tls  *inlet.TLS // nil if it is plain
	door websocket.Door

	mu     sync.Mutex
	listen net.Listener // guarded by mu; nil while there is none
	fault  error        // guarded by mu; why there is none
	since  time.Time    // guarded by mu; of fault
}

// listen accepts connections on p until ctx ends. An address that cannot be
// listened on, or a certificate that cannot be read, is tried again and again.
func (e *Broker) listen(ctx context.Context, p *port) {
	retry := &pause.Growing{Least: time.Second, Most: 30 * time.Second}
	for ctx.Err() == nil {
		err := e.listenOnce(ctx, p, retry.Reset)
		if ctx.Err() != nil {
			return
		}
		p.fail(why(p.Address, err))
		e.log.Debug("no sensor can connect", "address", p.Address, "err", err)
		pause.Sleep(ctx, retry.Jittered())
	}
}

// why says for people why nobody can connect at an address, with what to do.
func why(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another program has the port of %s: stop it, or change listen", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("this machine has no address %s now: change listen, or wait for the network", address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("this user may not listen on %s: take a port from 1024 on, or grant CAP_NET_BIND_SERVICE", address)
	}
	var at *net.OpError
	if errors.As(err, &at) {
		return fmt.Errorf("it cannot listen on %s (%w): change listen", address, at.Err)
	}
	return err
}

func (e *Broker) listenOnce(ctx context.Context, p *port, up func()) error {
	var secure *tls.Config
	if p.tls != nil {
		var err error
		if secure, err = serverTLS(p.tls); err != nil {
			return err
		}
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", p.Address)
	if err != nil {
		return err
	}
	up()
	e.log.Info("listening for sensors", "address", l.Addr().String(), "tls", secure != nil, "websocket", p.WebSocket)
	p.set(l)
	defer p.set(nil)
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	defer func() { _ = l.Close() }() // fails if ctx has ended: it is closed then
	return e.accept(ctx, l, p, secure)
}

// accept hands connections to the broker until l is closed.
func (e *Broker) accept(ctx context.Context, l net.Listener, p *port, secure *tls.Config) error {
	retry := &pause.Growing{Least: 5 * time.Millisecond, Most: time.Second}
	for {
		raw, err := accepted(l)
		if err != nil {
			if ctx.Err() == nil && temporary(err) {
				// Out of file descriptors, mostly: others may be closed soon.
				e.log.Warn("cannot accept a connection", "err", err)
				pause.Sleep(ctx, retry.Jittered())
				continue
			}
			return err
		}
		nc := raw
		if secure != nil {
			nc = tls.Server(raw, secure)
		}
		if p.WebSocket {
			nc = p.door.Server(nc)
		}
		c := e.admit(nc, raw)
		e.running.Go(func() { e.attend(c) })
	}
}

// accepted returns the next connection.
func accepted(l net.Listener) (net.Conn, error) {
	c, err := l.Accept()
	if err != nil {
		return nil, err
	}
	return socket.Wrap(c), nil
}

func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

func (p *port) set(l net.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listen = l
	if l != nil {
		p.fault = nil
	}
}

// fail remembers why nobody can connect.
func (p *port) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == nil {
		p.since = time.Now()
	}
	p.fault = err
}

func (p *port) addr() net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listen == nil {
		return nil
	}
	return p.listen.Addr()
}

// newPort returns the port of an address of the configuration.
func newPort(address string, secure *inlet.TLS, origins []string) (*port, error) {
	l, err := inlet.ParseListener(address)
	return &port{Listener: l, tls: secure, door: websocket.Door{Path: l.Path, Origins: origins}}, err
}

// Addr returns where the broker listens, with TLS or without, nil while it does
// not.
func (e *Broker) Addr(secure bool) net.Addr {
	for _, p := range e.ports {
		if (p.tls != nil) == secure && !p.WebSocket {
			return p.addr()
		}
	}
	return nil
}

// Health returns why sensors cannot connect, nothing if they can.
func (e *Broker) Health() []condition.Condition {
	var all []condition.Condition
	for _, p := range e.ports {
		p.mu.Lock()
		if p.fault != nil {
			subject := "mqtt " + e.name
			if p.tls != nil {
				subject += " tls"
			}
			all = append(all, condition.SensorsShutOut.At(subject, p.since, p.fault))
		}
		p.mu.Unlock()
	}
	if n := e.access.guard.Refused(); n >= manyRefused {
		all = append(all, condition.SensorsRefused.At("mqtt "+e.name, e.refusedSince(), n))
	}
	all = append(all, e.trouble.Conditions(e.name)...)
	return append(all, e.memory.Conditions(e.name)...)
}

// manyRefused logins in a minute are worth a look.
const manyRefused = 5

// refusedSince returns when the last run of refused logins began.
func (e *Broker) refusedSince() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.guessedAt
}
