package modbustest

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// Simulator serves units to whoever connects. It is safe for concurrent use.
type Simulator struct {
	// Framing is set before Run. Default TCP.
	Framing Framing
	// Latency is how long each answer takes, set before Run.
	Latency time.Duration
	// Parallel lets answers overtake each other: a slow one does not hold up the
	// next (TCP only); set before Run.
	Parallel bool
	// MaxConns closes connections beyond that number at once, if not 0; set
	// before Run.
	MaxConns int

	mu       sync.Mutex
	units    map[byte]*Unit        // guarded by mu
	listener net.Listener          // guarded by mu; nil while it refuses
	address  string                // guarded by mu
	conns    map[net.Conn]struct{} // guarded by mu
	accepted int                   // guarded by mu
	refusing bool                  // guarded by mu
	frozen   chan struct{}         // guarded by mu; not nil and open while frozen
	changed  chan struct{}         // receives when listener changes
}

// New returns a simulator without units. It starts nothing.
func New() *Simulator {
	return &Simulator{units: make(map[byte]*Unit), conns: make(map[net.Conn]struct{}), changed: make(chan struct{}, 1)}
}

// Unit returns the unit with that id and makes it first if there is none.
// Requests to ids that were never asked for here are not answered.
func (s *Simulator) Unit(id byte) *Unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.units[id]
	if u == nil {
		u = &Unit{}
		s.units[id] = u
	}
	return u
}

// Listen binds a TCP address, 127.0.0.1:0 for instance, and returns what was
// bound. Connections wait until Run.
func (s *Simulator) Listen(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener, s.address = l, l.Addr().String()
	return s.address, nil
}

// Refuse makes connecting fail ("connection refused") and closes the
// connections that are open, until Accept.
func (s *Simulator) Refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		_ = s.listener.Close()
		s.listener = nil
	}
	s.refusing = true
	s.closeAllLocked()
}

// Accept lets clients connect again after Refuse, at the same address.
func (s *Simulator) Accept() error {
	s.mu.Lock()
	address := s.address
	s.refusing = false
	s.mu.Unlock()
	if address == "" {
		return nil
	}
	_, err := s.Listen(address)
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return err
}

// Freeze makes the open connections dead without closing them, as a cut cable
// does: nothing is read or answered. New connections work.
func (s *Simulator) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen != nil {
		close(s.frozen)
	}
	s.frozen = make(chan struct{})
}

// Accepted returns how many connections were made so far.
func (s *Simulator) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// Run serves until ctx ends, and returns after all connections are closed.
func (s *Simulator) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, s.Refuse)
	defer stop()
	for {
		s.mu.Lock()
		l := s.listener
		s.mu.Unlock()
		if l != nil && ctx.Err() == nil {
			s.accept(ctx, l, &wg)
		}
		select {
		case <-ctx.Done():
			s.Refuse()
			return nil
		case <-s.changed:
		}
	}
}

// accept serves the connections of one listener until it is closed.
func (s *Simulator) accept(ctx context.Context, l net.Listener, wg *sync.WaitGroup) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // one connection that broke before it was accepted
		}
		wg.Go(func() { s.ServeConn(ctx, conn) })
	}
}

// ServeConn answers the requests of one connection until it ends or ctx does,
// and closes it. Any stream will do, a net.Pipe for instance.
func (s *Simulator) ServeConn(ctx context.Context, conn net.Conn) {
	s.mu.Lock()
	full := s.MaxConns > 0 && len(s.conns) >= s.MaxConns
	s.conns[conn] = struct{}{}
	s.accepted++
	frozen := s.frozenLocked()
	s.mu.Unlock()
	defer func() {
		_ = conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if full {
		return
	}
	c := &peer{sim: s, conn: conn, frozen: frozen}
	c.serve(ctx)
}

// Open returns how many connections are open on this side.
func (s *Simulator) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// frozenLocked returns a channel that is closed when the connections that are
// open now freeze.
func (s *Simulator) frozenLocked() <-chan struct{} {
	if s.frozen == nil {
		s.frozen = make(chan struct{})
	}
	return s.frozen
}

func (s *Simulator) closeAllLocked() {
	for c := range s.conns {
		_ = c.Close()
	}
}

func (s *Simulator) find(id byte) *Unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.units[id]
}

// all returns the units, in any order.
func (s *Simulator) all() []*Unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.units))
}

// TB is the part of testing.TB that Start needs; the package does not link
// testing into the demonstration.
type TB interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// Start serves s on a free port of 127.0.0.1 until the test ends, and returns
// the address.
func (s *Simulator) Start(t TB) string {
	t.Helper()
	address, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return address
}
