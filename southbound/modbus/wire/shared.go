package wire

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"fieldbridge/pause"
)

// Shared is a TCP connection with several requests outstanding. Its answers are
// told apart by their transaction ids, in any order. It is safe for concurrent
// use; each [Client] on it is for one goroutine.
type Shared struct {
	o         Options
	receivers sync.WaitGroup

	mu      sync.Mutex
	mbap    mbap     // guarded by mu, but for its count
	conn    *shareOf // guarded by mu; nil if there is none
	dialing *attempt // guarded by mu; nil is that nobody connects
}

// attempt is one goroutine connecting for all that want to.
type attempt struct {
	done chan struct{} // closed when it has ended
	err  error         // why it failed; set before done is closed
}

// shareOf is one connection of a Shared.
type shareOf struct {
	stream  Stream
	turn    chan struct{}      // holds one value while a request is written
	stuck   *time.Timer        // ends the connection if a write does not; who has the turn sets it
	waiting map[uint16]*waiter // guarded by Shared.mu
	used    bool               // guarded by Shared.mu; an answer came on it
	silent  int                // guarded by Shared.mu; timeouts since the last answer
	torn    bool               // guarded by Shared.mu; the last frame is not whole
}

// waiter is a request that waits for its answer.
type waiter struct {
	unit   byte
	answer []byte
	err    error
	done   chan struct{}
}

// NewShared returns a connection that keeps several requests outstanding. It
// does not connect.
func NewShared(o Options) *Shared { return &Shared{o: o} }

// Connected reports whether there is a connection, as far as is known.
func (s *Shared) Connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil
}

// Strays returns how many answers of another transaction or unit were thrown
// away. It is safe for concurrent use.
func (s *Shared) Strays() uint64 { return s.mbap.strays.Load() }

// Close ends the connection and returns when its receiver has ended.
func (s *Shared) Close() {
	s.Drop()
	s.receivers.Wait()
}

// Drop closes and forgets the connection; the next request makes a new one.
func (s *Shared) Drop() {
	s.mu.Lock()
	c := s.conn
	s.mu.Unlock()
	if c != nil {
		s.fail(c, &DisconnectError{errors.New("closed")})
	}
}

// Unwatch does nothing: contexts end requests here, not the connection.
func (s *Shared) Unwatch() {}

// Rest does nothing: a request's timer ends with it here.
func (s *Shared) Rest() {}

func (s *Shared) encode(buf []byte, unit, function byte, data []byte) []byte {
	return (&mbap{}).encode(buf, unit, function, data)
}

func (s *Shared) parts(frame []byte) (byte, []byte) { return frame[6], frame[mbapSize:] }

// exchange sends a request and waits for its answer, which the caller owns.
func (s *Shared) exchange(ctx context.Context, request []byte, w wait) ([]byte, error) {
	for try := 0; ; try++ {
		c, reused, err := s.open(ctx)
		if err != nil {
			return nil, err
		}
		answer, err := s.ask(ctx, c, request, w.timeout)
		if _, pdu := s.parts(request); try == 0 && reused && ctx.Err() == nil && repeatable(pdu[0]) {
			// As with a Link: what happened on an idle connection says nothing; what
			// writes is sent once.
			switch err.(type) {
			case *DisconnectError, *ProtocolError:
				continue
			}
		}
		return answer, err
	}
}

// open returns the connection, made first if there is none, and whether it was
// used before. One goroutine connects; the others wait for it, each as long as
// its context allows, and get its error.
func (s *Shared) open(ctx context.Context) (*shareOf, bool, error) {
	for {
		c, used, a, mine := s.current()
		switch {
		case c != nil:
			return c, used, nil
		case mine:
			c, err := s.connect(ctx, a)
			return c, false, err
		}
		select {
		case <-ctx.Done():
			return nil, false, ctx.Err()
		case <-a.done:
		}
		if a.err != nil && !errors.Is(a.err, context.Canceled) && !errors.Is(a.err, context.DeadlineExceeded) {
			return nil, false, a.err
		}
	}
}

// current returns the connection, or else the attempt to make one, and whether
// it is the caller who makes it.
func (s *Shared) current() (c *shareOf, used bool, a *attempt, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		return s.conn, s.conn.used, nil, false
	}
	if s.dialing != nil {
		return nil, false, s.dialing, false
	}
	s.dialing = &attempt{done: make(chan struct{})}
	return nil, false, s.dialing, true
}

// connect makes a connection for all that wait for a.
func (s *Shared) connect(ctx context.Context, a *attempt) (*shareOf, error) {
	stream, err := s.dial(ctx)
	var c *shareOf
	if err == nil {
		if s.o.Datagrams {
			stream = datagrams{stream, &s.mbap.strays}
		}
		c = &shareOf{stream: stream, turn: make(chan struct{}, 1), waiting: make(map[uint16]*waiter)}
		c.stuck = time.AfterFunc(time.Hour, func() { s.fail(c, &DisconnectError{ErrTimeout}) })
		c.stuck.Stop()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialing, a.err = nil, err
	if c != nil {
		s.conn = c
		s.receivers.Go(func() { s.receive(c) })
	}
	close(a.done)
	return c, err
}

// dial makes a connection and waits until it may be used.
func (s *Shared) dial(ctx context.Context) (Stream, error) {
	dctx, cancel := context.WithTimeout(ctx, s.o.ConnectTimeout)
	defer cancel()
	stream, err := s.o.Dial(dctx)
	if err == nil && s.o.ConnectDelay > 0 && !pause.Sleep(ctx, s.o.ConnectDelay) {
		_ = stream.Close() // it was never used
		err = ctx.Err()
	}
	switch {
	case err == nil:
		return stream, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case dctx.Err() != nil:
		err = ErrTimeout
	}
	return nil, &ConnectError{cause(err)}
}

// ask sends a request on c and waits for its answer.
func (s *Shared) ask(ctx context.Context, c *shareOf, request []byte, timeout time.Duration) ([]byte, error) {
	w := &waiter{unit: request[6], done: make(chan struct{})}
	timer := pause.NewTimer(timeout)
	defer timer.Stop()
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, ErrTimeout
	}
	id, err := s.post(c, w, request, timeout)
	<-c.turn
	if err != nil {
		s.fail(c, s.o.broken(err))
	}
	timer.Reset(timeout)
	select {
	case <-w.done:
		return w.answer, w.err
	case <-ctx.Done():
		s.forget(c, id, false)
		return nil, ctx.Err()
	case <-timer.C:
	}
	if s.forget(c, id, true) {
		s.fail(c, &DisconnectError{ErrTimeout})
	}
	select {
	case <-w.done: // it came at the last moment
		return w.answer, w.err
	default:
		return nil, ErrTimeout
	}
}

// post numbers and writes a request; the caller has the turn, so that requests go
// out in the order of their numbers. A write that takes longer than timeout ends
// the connection.
func (s *Shared) post(c *shareOf, w *waiter, request []byte, timeout time.Duration) (uint16, error) {
	id := s.number(c, w, request)
	c.stuck.Reset(timeout)
	_, err := c.stream.Write(request)
	c.stuck.Stop()
	return id, err
}

// number gives a request its number, under which w waits.
func (s *Shared) number(c *shareOf, w *waiter, request []byte) uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mbap.stamp(request)
	c.waiting[s.mbap.id] = w
	return s.mbap.id
}

// forget stops waiting for an answer: should it come, it is late. It reports
// whether the connection has been silent for too long to be alive.
func (s *Shared) forget(c *shareOf, id uint16, timedOut bool) (dead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(c.waiting, id)
	if !timedOut {
		return false
	}
	c.silent++
	return c.torn || c.silent >= silences && len(c.waiting) == 0
}

// fail ends a connection: err is what all that wait on it get.
func (s *Shared) fail(c *shareOf, err error) {
	_ = c.stream.Close() // it has failed; and closing may take a while
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == c {
		s.conn = nil
	}
	for id, w := range c.waiting {
		delete(c.waiting, id)
		w.err = err
		close(w.done)
	}
}

// receive hands out the answers of a connection until it ends.
func (s *Shared) receive(c *shareOf) {
	buf := make([]byte, 8*maxADU)
	have := 0
	for {
		n, err := c.stream.Read(buf[have:])
		have += n
		used, wrong := s.handOut(c, buf[:have])
		have = copy(buf, buf[used:have])
		switch {
		case wrong != nil:
			s.fail(c, wrong)
			return
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			s.fail(c, s.o.broken(err))
			return
		}
	}
}

// handOut gives whole frames to those who wait for them, and returns how many
// bytes are done with.
func (s *Shared) handOut(c *shareOf, received []byte) (used int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		frame, n, err := s.mbap.next(received[used:])
		if frame == nil || err != nil {
			c.torn = used < len(received)
			return used, err
		}
		used += n
		c.used, c.silent = true, 0
		id := frameID(frame)
		if w := c.waiting[id]; w == nil || w.unit != frame[6] {
			s.mbap.strays.Add(1)
		} else {
			delete(c.waiting, id)
			w.answer = append([]byte(nil), frame...)
			close(w.done)
		}
	}
}
