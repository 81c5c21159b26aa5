package identity

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"fieldbridge/northbound/awsiot/uplink"
)

// dial looks the name up and opens the TCP connection, by way of the proxy if
// there is one. It returns how long that took, or nil.
func (c *check) dial(ctx context.Context) (net.Conn, time.Duration) {
	s := c.step(Address)
	s.reached()
	host, port, err := uplink.Address(&c.o.Config)
	if err != nil {
		c.failure(s, uplink.AtDial, err)
		return nil, 0
	}
	s.fact("endpoint", "%s, port %s", host, port)
	dial, proxy, err := c.dialer()
	if err != nil {
		c.failure(s, uplink.AtDial, err)
		return nil, 0
	}
	if proxy != "" { // it looks the endpoint's name up
		s.fact("proxy", "%s", proxy)
		host, _, _ = net.SplitHostPort(proxy)
	}
	if !c.lookUp(ctx, s, host) {
		return nil, 0
	}
	start := time.Now()
	conn, err := dial(ctx)
	elapsed := time.Since(start)
	if tried, n := c.tried.text(); err != nil || n > 1 {
		s.fact("tried", "%s", tried)
	}
	if err != nil {
		c.failure(s, uplink.AtDial, err)
		return nil, 0
	}
	s.fact("connected to", "%s from %s in %s", conn.RemoteAddr(), conn.LocalAddr(), took(elapsed))
	return conn, elapsed
}

// dialer returns how to open a TCP connection to the endpoint, and the proxy
// that it goes through.
func (c *check) dialer() (open func(context.Context) (net.Conn, error), proxy string, err error) {
	host, port, err := uplink.Address(&c.o.Config)
	if err != nil {
		return nil, "", err
	}
	dial, proxy, err := uplink.Through(&c.o.Config, uplink.Race(c.network))
	if err != nil {
		return nil, "", err
	}
	address := net.JoinHostPort(host, port)
	return func(ctx context.Context) (net.Conn, error) { return dial(ctx, "tcp", address) }, proxy, nil
}

// lookUpGrace is how long the addresses of one family wait for the others: the
// session does not wait at all.
const lookUpGrace = 2 * time.Second

// lookUp notes the addresses of a name. It reports whether there are any.
func (c *check) lookUp(ctx context.Context, s *Step, host string) bool {
	if net.ParseIP(host) != nil {
		return true
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type found struct {
		family    string
		addresses []netip.Addr
		err       error
	}
	start := time.Now()
	answers := make(chan found, 2)
	for network, family := range map[string]string{"ip6": "IPv6", "ip4": "IPv4"} {
		go func() {
			addresses, err := c.network.LookupNetIP(ctx, network, host)
			answers <- found{family, addresses, err}
		}()
	}
	var list []string
	var failure error
	for range 2 { // both answer, or end with ctx
		f := <-answers
		for _, a := range f.addresses {
			list = append(list, a.Unmap().String())
		}
		var dns *net.DNSError
		fails := errors.As(f.err, &dns) && !dns.IsNotFound
		if f.err != nil && (failure == nil || fails) {
			failure = f.err
		}
		if len(f.addresses) > 0 {
			defer time.AfterFunc(lookUpGrace, cancel).Stop()
		} else if len(list) > 0 && fails {
			s.fact("no answer", "about %s addresses from the name server", f.family)
		}
	}
	if len(list) == 0 {
		c.failure(s, uplink.AtDial, failure)
		return false
	}
	s.fact("addresses", "%s, looked up in %s", strings.Join(list, ", "), took(time.Since(start)))
	return true
}

// tries are the addresses that a dialer has tried.
type tries struct {
	mu   sync.Mutex
	list []string // guarded by mu
}

// add is a [net.Dialer]'s ControlContext. A dialer calls it side by side.
func (t *tries) add(_ context.Context, _, address string, _ syscall.RawConn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, address)
	return nil
}

func (t *tries) text() (list string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.list, ", "), len(t.list)
}
