package uplink

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Of RFC 8305, "Happy Eyeballs version 2", sections 3 and 5.
const (
	// resolutionDelay is how long IPv4 addresses wait for IPv6 ones.
	resolutionDelay = 50 * time.Millisecond
	// attemptDelay is how long one address is tried alone.
	attemptDelay = 250 * time.Millisecond
)

// Network is what lies below a session: a name server and a way to an address.
// Tests bring their own.
type Network interface {
	// LookupNetIP is [net.Resolver.LookupNetIP]; network is ip4 or ip6.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	// DialContext is [net.Dialer.DialContext]; the host of address is an IP.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Machine is the network of the machine. Its zero value is ready to use.
type Machine struct {
	net.Dialer
	Names *net.Resolver // nil is [net.DefaultResolver]
}

// LookupNetIP implements [Network].
func (m *Machine) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	r := m.Names
	if r == nil {
		r = net.DefaultResolver
	}
	return r.LookupNetIP(ctx, network, host)
}

// racer opens TCP connections to a host by its name: it looks IPv6 and IPv4
// addresses up side by side and tries the ones it has in turn, without waiting
// for those that do not answer. [net.Dialer] waits for both lookups, and many a
// name server keeps silent about IPv6: that would be ten seconds each time.
type racer struct{ Network }

// Race returns how a session opens its connections by way of a network: IPv6 and
// IPv4 race, and the loser is closed.
func Race(n Network) func(ctx context.Context, network, address string) (net.Conn, error) {
	return (&racer{n}).connect
}

// connect is a [dialer].
func (r *racer) connect(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return r.DialContext(ctx, network, address)
	}
	inner, cancel := context.WithCancel(ctx)
	run := &race{racer: r, network: network, host: host, port: port, found: make(chan found), tried: make(chan tried)}
	conn, err := run.run(inner)
	cancel()
	run.workers.Wait()
	return conn, err
}

// race is one call of connect. One goroutine owns it.
type race struct {
	*racer
	network, host, port string

	found   chan found // answers to lookups
	tried   chan tried // outcomes of attempts
	workers sync.WaitGroup

	addresses [2][]netip.Addr // by family, IPv6 first; not tried yet
	next      int             // the family whose turn it is
	lookups   int             // that have not answered
	attempts  int             // that have not ended
	last      time.Time       // when the last attempt began
	known     bool            // there was an address
	unknown   error           // why a lookup failed
	refused   error           // why an attempt failed
}

type found struct {
	family    int
	addresses []netip.Addr
	err       error
}

type tried struct {
	conn net.Conn
	err  error
}

var families = [2]string{"ip6", "ip4"}

func (r *race) run(ctx context.Context) (net.Conn, error) {
	for family := range families {
		r.lookUp(ctx, family)
	}
	start := time.NewTimer(0) // of the next attempt
	start.Stop()
	defer start.Stop()
	for r.lookups > 0 || r.attempts > 0 || r.waiting() {
		select {
		case <-ctx.Done():
			return nil, r.failure(ctx)
		case f := <-r.found:
			r.lookups--
			r.addresses[f.family] = f.addresses
			if f.err != nil && (r.unknown == nil || !notFound(f.err)) {
				r.unknown = f.err
			}
			r.known = r.known || len(f.addresses) > 0
			switch {
			case !r.waiting():
			case r.attempts > 0:
				start.Reset(time.Until(r.last.Add(attemptDelay)))
			case r.lookups == 0 || len(r.addresses[0]) > 0:
				start.Reset(0)
			default:
				start.Reset(resolutionDelay)
			}
		case t := <-r.tried:
			r.attempts--
			if t.err == nil {
				return t.conn, nil
			}
			if r.refused == nil || unreachable(r.refused) {
				r.refused = t.err
			}
			start.Reset(0)
		case <-start.C:
			if r.attempt(ctx) {
				start.Reset(attemptDelay)
			}
		}
	}
	return nil, r.failure(ctx)
}

func (r *race) waiting() bool { return len(r.addresses[0])+len(r.addresses[1]) > 0 }

func (r *race) lookUp(ctx context.Context, family int) {
	r.lookups++
	r.workers.Go(func() {
		addresses, err := r.LookupNetIP(ctx, families[family], r.host)
		select {
		case r.found <- found{family, addresses, err}:
		case <-ctx.Done():
		}
	})
}

// attempt tries the next address, the families in turn. It reports whether there
// was one.
func (r *race) attempt(ctx context.Context) bool {
	if len(r.addresses[r.next]) == 0 {
		r.next = 1 - r.next
	}
	if len(r.addresses[r.next]) == 0 {
		return false
	}
	address := net.JoinHostPort(r.addresses[r.next][0].Unmap().String(), r.port)
	r.addresses[r.next] = r.addresses[r.next][1:]
	r.next = 1 - r.next
	r.attempts++
	r.last = time.Now()
	r.workers.Go(func() {
		conn, err := r.DialContext(ctx, r.network, address)
		select {
		case r.tried <- tried{conn, err}:
		case <-ctx.Done():
			if conn != nil {
				_ = conn.Close()
			}
		}
	})
	return true
}

// failure returns why there is no connection.
func (r *race) failure(ctx context.Context) error {
	switch {
	case r.refused != nil && (ctx.Err() == nil || !unreachable(r.refused)):
		return r.refused
	case r.known:
		return ctx.Err()
	case r.unknown != nil && (r.lookups == 0 || !notFound(r.unknown)):
		return r.unknown
	}
	return &net.DNSError{Err: "no answer in time", Name: r.host, IsTimeout: true}
}

// notFound reports whether err says that a name has no address of a family.
func notFound(err error) bool {
	var dns *net.DNSError
	var other *net.AddrError // the file of hosts has one of the other family
	return errors.As(err, &dns) && dns.IsNotFound || errors.As(err, &other)
}

// unreachable reports whether err is that of a host without a network of that
// family: what happens with the other one says more.
func unreachable(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) ||
		errors.Is(err, syscall.EADDRNOTAVAIL)
}
