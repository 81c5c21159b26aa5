package wire

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// Shared is a TCP connection with several requests outstanding. Its answers are
// told apart by their transaction ids, in any order. It is safe for concurrent
// use; each [Client] on it is for one goroutine.
type Shared struct {
	o         Options
	receivers sync.WaitGroup

	mu   sync.Mutex
	mbap mbap     // guarded by mu
	conn *shareOf // guarded by mu; nil is none
}

// shareOf is one connection of a Shared.
type shareOf struct {
	stream  Stream
	waiting map[uint16]*waiter // guarded by Shared.mu
	used    bool               // guarded by Shared.mu; an answer came on it
	silent  int                // guarded by Shared.mu; timeouts since the last answer
	torn    bool               // guarded by Shared.mu; the last frame is not whole
}

// waiter is a request that waits for its answer.
type waiter struct {
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
		if try == 0 && reused && ctx.Err() == nil {
			// As with a Link: what happened on an idle connection says nothing.
			switch err.(type) {
			case *DisconnectError, *ProtocolError:
				continue
			}
		}
		return answer, err
	}
}

// open returns the connection, made first if there is none, and whether it was
// used before.
func (s *Shared) open(ctx context.Context) (*shareOf, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		return s.conn, s.conn.used, nil
	}
	dctx, cancel := context.WithTimeout(ctx, s.o.ConnectTimeout)
	defer cancel()
	stream, err := s.o.Dial(dctx)
	if err == nil && s.o.ConnectDelay > 0 {
		if err = sleepUntil(ctx, time.Now().Add(s.o.ConnectDelay)); err != nil {
			stream.Close()
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		if dctx.Err() != nil {
			err = ErrTimeout
		}
		return nil, false, &ConnectError{cause(err)}
	}
	s.conn = &shareOf{stream: stream, waiting: make(map[uint16]*waiter)}
	s.mbap.reset()
	c := s.conn
	s.receivers.Go(func() { s.receive(c) })
	return s.conn, false, nil
}

// ask sends a request on c and waits for its answer.
func (s *Shared) ask(ctx context.Context, c *shareOf, request []byte, timeout time.Duration) ([]byte, error) {
	w := &waiter{done: make(chan struct{})}
	id, err := s.post(c, w, request)
	if err != nil {
		s.fail(c, &DisconnectError{cause(err)})
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
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

// post numbers and writes a request. The requests of all goroutines go out in
// the order of their numbers.
func (s *Shared) post(c *shareOf, w *waiter, request []byte) (uint16, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mbap.stamp(request)
	c.waiting[s.mbap.id] = w
	_, err := c.stream.Write(request)
	return s.mbap.id, err
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == c {
		s.conn = nil
	}
	c.stream.Close()
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
			s.fail(c, &DisconnectError{cause(err)})
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
		if w := c.waiting[id]; w != nil {
			delete(c.waiting, id)
			w.answer = append([]byte(nil), frame...)
			close(w.done)
		}
	}
}
