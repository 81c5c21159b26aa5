package uplink

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/setting"
)

// raceHost is how a host and its name server behave.
type raceHost struct {
	ip6, ip4       []string
	after6, after4 time.Duration      // of the answers to lookups; < 0 is never
	err6, err4     error              // of the lookups
	how            map[string]conduct // of addresses
	start          time.Time

	mu    sync.Mutex
	tried map[string]time.Duration // guarded by mu
	open  int                      // guarded by mu; connections that nobody has closed
}

// conduct is how an address answers: after a time with a connection or err; < 0
// is never.
type conduct struct {
	after time.Duration
	err   error
}

const never = time.Duration(-1)

func (h *raceHost) LookupNetIP(ctx context.Context, network, _ string) ([]netip.Addr, error) {
	list, after, err := h.ip4, h.after4, h.err4
	if network == "ip6" {
		list, after, err = h.ip6, h.after6, h.err6
	}
	if !sleep(ctx, after) {
		return nil, ctx.Err()
	}
	if err == nil && len(list) == 0 {
		err = &net.DNSError{Err: "no such host", Name: "cloud", IsNotFound: true}
	}
	var all []netip.Addr
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all, err
}

func (h *raceHost) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(address)
	h.mu.Lock()
	h.tried[host] = time.Since(h.start)
	h.mu.Unlock()
	c := h.how[host]
	if !sleep(ctx, c.after) {
		return nil, ctx.Err()
	}
	if c.err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: c.err}
	}
	h.mu.Lock()
	h.open++
	h.mu.Unlock()
	return &raceConn{host: h, name: host}, nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	var expired <-chan time.Time
	if d >= 0 {
		expired = time.After(d)
	}
	select {
	case <-ctx.Done():
		return false
	case <-expired:
		return true
	}
}

type raceConn struct {
	net.Conn
	host *raceHost
	name string
}

func (c *raceConn) Close() error {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	c.host.open--
	return nil
}

func TestRace(t *testing.T) {
	const ms = time.Millisecond
	hole, refuses, ok := conduct{after: never}, conduct{after: 20 * ms, err: syscall.ECONNREFUSED}, conduct{after: 20 * ms}
	noRoute := conduct{err: syscall.ENETUNREACH}
	six, four, four2 := "2001:db8::1", "192.0.2.1", "192.0.2.2"
	for name, tt := range map[string]struct {
		host  *raceHost
		won   string
		took  time.Duration
		err   error
		tried map[string]time.Duration
	}{
		"both answer": {host: &raceHost{ip6: []string{six}, ip4: []string{four}, how: map[string]conduct{six: ok, four: ok}},
			won: six, took: 20 * ms, tried: map[string]time.Duration{six: 0}},
		"IPv6 is a black hole": {host: &raceHost{ip6: []string{six}, ip4: []string{four}, how: map[string]conduct{six: hole,
			four: ok}},
			won: four, took: 270 * ms, tried: map[string]time.Duration{six: 0, four: 250 * ms}},
		"IPv6 refuses": {host: &raceHost{ip6: []string{six}, ip4: []string{four}, how: map[string]conduct{six: refuses,
			four: ok}},
			won: four, took: 40 * ms, tried: map[string]time.Duration{six: 0, four: 20 * ms}},
		"no IPv6 here": {host: &raceHost{ip6: []string{six}, ip4: []string{four}, how: map[string]conduct{six: noRoute,
			four: ok}},
			won: four, took: 20 * ms, tried: map[string]time.Duration{six: 0, four: 0}},
		"IPv4 is a black hole, and first": {host: &raceHost{ip6: []string{six}, after6: 60 * ms, ip4: []string{four},
			how: map[string]conduct{six: ok, four: hole}},
			won: six, took: 320 * ms, tried: map[string]time.Duration{four: 50 * ms, six: 300 * ms}},
		"IPv4 refuses, and is first": {host: &raceHost{ip6: []string{six}, after6: 60 * ms, ip4: []string{four},
			how: map[string]conduct{six: ok, four: refuses}},
			won: six, took: 90 * ms, tried: map[string]time.Duration{four: 50 * ms, six: 70 * ms}},
		"IPv4 answers slowly": {host: &raceHost{ip6: []string{six}, ip4: []string{four},
			how: map[string]conduct{six: {after: 400 * ms}, four: {after: 300 * ms}}},
			won: six, took: 400 * ms, tried: map[string]time.Duration{six: 0, four: 250 * ms}},
		"the name server is silent about IPv6": {host: &raceHost{after6: never, ip4: []string{four},
			how: map[string]conduct{four: ok}},
			won: four, took: 70 * ms, tried: map[string]time.Duration{four: 50 * ms}},
		"the name server fails for IPv6": {host: &raceHost{err6: &net.DNSError{Err: "server misbehaving", IsTemporary: true},
			ip4: []string{four}, how: map[string]conduct{four: ok}},
			won: four, took: 20 * ms, tried: map[string]time.Duration{four: 0}},
		"IPv6 is found a little later": {host: &raceHost{ip6: []string{six}, after6: 30 * ms, ip4: []string{four},
			how: map[string]conduct{six: ok, four: ok}},
			won: six, took: 50 * ms, tried: map[string]time.Duration{six: 30 * ms}},
		"IPv4 is found while IPv6 is a black hole": {host: &raceHost{ip6: []string{six}, ip4: []string{four},
			after4: 400 * ms, how: map[string]conduct{six: hole, four: ok}},
			won: four, took: 420 * ms, tried: map[string]time.Duration{six: 0, four: 400 * ms}},
		"IPv6 only": {host: &raceHost{ip6: []string{six}, how: map[string]conduct{six: ok}},
			won: six, took: 20 * ms, tried: map[string]time.Duration{six: 0}},
		"the second address answers": {host: &raceHost{ip4: []string{four, four2}, how: map[string]conduct{four: hole,
			four2: ok}},
			won: four2, took: 270 * ms, tried: map[string]time.Duration{four: 0, four2: 250 * ms}},
		"all refuse": {host: &raceHost{ip6: []string{six}, ip4: []string{four}, how: map[string]conduct{six: noRoute,
			four: refuses}},
			err: syscall.ECONNREFUSED, took: 20 * ms, tried: map[string]time.Duration{six: 0, four: 0}},
		"nothing answers": {host: &raceHost{ip6: []string{six}, ip4: []string{four}, how: map[string]conduct{six: noRoute,
			four: hole}},
			err: context.DeadlineExceeded, took: 15 * time.Second, tried: map[string]time.Duration{six: 0, four: 0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := tt.host
				h.start, h.tried = time.Now(), make(map[string]time.Duration)
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				defer cancel()
				conn, err := Race(h)(ctx, "tcp", "cloud:8883")
				if took := time.Since(h.start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
					t.Errorf("error %v, want %v", err, tt.err)
				}
				won := ""
				if conn != nil {
					won = conn.(*raceConn).name
					conn.Close()
				}
				if won != tt.won || h.open != 0 {
					t.Errorf("%s won, %d connections are left open", won, h.open)
				}
				if diff := cmp.Diff(tt.tried, h.tried); diff != "" {
					t.Errorf("tried (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestRaceNames: what is said when the name cannot be looked up.
func TestRaceNames(t *testing.T) {
	for name, tt := range map[string]struct {
		host *raceHost
		want string
	}{
		"no such host": {&raceHost{}, "there is no host called cloud"},
		"fails": {&raceHost{err4: &net.DNSError{Err: "server misbehaving", Name: "cloud", IsTemporary: true}},
			"the name cloud cannot be looked up (server misbehaving)"},
		"does not reply": {&raceHost{after6: never, after4: never},
			"the name cloud cannot be looked up, no name server answers in time"},
		"half a reply": {&raceHost{after6: never}, "the name cloud cannot be looked up, no name server answers in time"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.host.tried = make(map[string]time.Duration)
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				defer cancel()
				_, err := Race(tt.host)(ctx, "tcp", "cloud:8883")
				if text := Explain(&connectError{stage: AtDial, endpoint: "cloud", err: err}).Text; !strings.Contains(text,
					tt.want) {
					t.Errorf("%q, want %q", text, tt.want)
				}
			})
		})
	}
}

// TestSessionUsesTheRace connects over real sockets to a name that has a dead
// IPv6 address, directly and through a proxy: our own path uses the race.
func TestSessionUsesTheRace(t *testing.T) {
	cloud, err := awsiottest.Start(awsiottest.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	_, port, _ := net.SplitHostPort(cloud.Addr())
	h := &raceHost{ip6: []string{"2001:db8::1"}, ip4: []string{"127.0.0.1"}}
	real := &halfDead{h, new(Machine)}
	for _, proxied := range []bool{false, true} {
		t.Run(fmt.Sprint("proxy=", proxied), func(t *testing.T) {
			cfg := validConfig()
			cfg.Endpoint, cfg.ServerName = "cloud.example:"+port, "localhost"
			cfg.CA = setting.Path(cloud.CA())
			id, err := cloud.Device("gateway-1")
			if err != nil {
				t.Fatal(err)
			}
			use(&cfg, id)
			if proxied {
				_, proxyPort, _ := net.SplitHostPort(tunnel(t, func(in net.Conn) string {
					_, _ = http.ReadRequest(bufio.NewReader(in))
					_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
					return cloud.Addr()
				}))
				cfg.Proxy = "http://proxy.example:" + proxyPort
			}
			a := &Attempt{Config: &cfg, Client: "gateway-1", Network: real, Reached: someWill, Sent: func() {}}
			s, err := a.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_ = s.Close()
		})
	}
}

// halfDead is a name server of a test and the machine's network, where IPv6
// documentation addresses are a black hole.
type halfDead struct {
	names *raceHost
	*Machine
}

func (h *halfDead) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return h.names.LookupNetIP(ctx, network, host)
}

func (h *halfDead) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if strings.HasPrefix(address, "[2001:db8") {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.Machine.DialContext(ctx, network, address)
}
