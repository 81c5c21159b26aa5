package bridgetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"fieldbridge/bridge"
)

// ErrLinkDown is the outcome of messages that were in flight when the link broke.
var ErrLinkDown = errors.New("bridgetest: link down")

// Outcome is what becomes of one message. The zero value is an acknowledgement
// at once.
type Outcome struct {
	After time.Duration // how long the answer takes
	Err   error         // what the answer is; mark it with [bridge.Permanent] for a final refusal
	// Lose takes the message and never answers: its outcome is known when the
	// link ends.
	Lose bool
	// Cut breaks the link instead of an answer, after After.
	Cut bool
	// Untaken, with Lose or Cut, means that the cloud did not get the message.
	Untaken bool
}

// Sink is a scripted [bridge.Sink] that keeps what the cloud has got. Set its
// fields before Run.
type Sink struct {
	// LinkLimits are the limits of every link; a window of 0 is one of 100.
	LinkLimits bridge.Limits
	// Script says what becomes of the nth message, from 0; nil acknowledges all
	// at once. Calls do not overlap.
	Script func(n int, m bridge.Message) Outcome
	// Redial is the pause between two links; 0 is 1 s.
	Redial time.Duration

	mu       sync.Mutex
	n        int              // messages published
	taken    []bridge.Message // by the cloud, in order
	down     bool             // no link is made
	current  *Link            // nil while there is none
	upAgain  chan struct{}    // closed when down ends
	links    int
	inFlight int
	peak     int
}

// Run implements [bridge.Sink].
func (s *Sink) Run(ctx context.Context, serve func(context.Context, bridge.Link)) error {
	for ctx.Err() == nil {
		if !s.awaitUp(ctx) {
			break
		}
		l := s.connect(ctx)
		serve(l.ctx, l)
		l.end()
		s.mu.Lock()
		s.current = nil
		s.mu.Unlock()
		redial := s.Redial
		if redial == 0 {
			redial = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(redial):
		}
	}
	return ctx.Err()
}

// Dial makes one link without Run; it ends with ctx or [Sink.Cut].
func (s *Sink) Dial(ctx context.Context) *Link { return s.connect(ctx) }

func (s *Sink) awaitUp(ctx context.Context) bool {
	s.mu.Lock()
	down, up := s.down, s.upAgain
	s.mu.Unlock()
	if !down {
		return true
	}
	select {
	case <-ctx.Done():
		return false
	case <-up:
		return true
	}
}

func (s *Sink) connect(ctx context.Context) *Link {
	limits := s.LinkLimits
	if limits.Window == 0 {
		limits.Window = 100
	}
	l := &Link{sink: s, limits: limits, window: make(chan struct{}, limits.Window)}
	l.ctx, l.cancel = context.WithCancel(ctx)
	context.AfterFunc(l.ctx, l.end) // answers what is in flight
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = l
	s.links++
	return l
}

// Cut breaks the link if there is one; the sink connects again after Redial.
func (s *Sink) Cut() {
	s.mu.Lock()
	l := s.current
	s.mu.Unlock()
	if l != nil {
		l.end()
	}
}

// Down breaks the link and makes no other until [Sink.Up].
func (s *Sink) Down() {
	s.mu.Lock()
	if !s.down {
		s.down = true
		s.upAgain = make(chan struct{})
	}
	s.mu.Unlock()
	s.Cut()
}

// Up ends [Sink.Down].
func (s *Sink) Up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		s.down = false
		close(s.upAgain)
	}
}

// Taken returns the messages that the cloud has got, in order, also those whose
// acknowledgement was lost.
func (s *Sink) Taken() []bridge.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.taken)
}

// Links returns how many links were made.
func (s *Sink) Links() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.links
}

// Peak returns the most messages that were in flight at one time.
func (s *Sink) Peak() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

// Link is a link of a [Sink].
type Link struct {
	sink   *Sink
	limits bridge.Limits
	window chan struct{}
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	ended   bool
	flights []*flight // whose outcome is not known
}

// flight is one message on its way.
type flight struct {
	done  func(error)
	timer *time.Timer
}

// Context ends with the link.
func (l *Link) Context() context.Context { return l.ctx }

// Limits implements [bridge.Link].
func (l *Link) Limits() bridge.Limits { return l.limits }

// GiveUp implements [bridge.Link].
func (l *Link) GiveUp() { l.end() }

// Publish implements [bridge.Link].
func (l *Link) Publish(m bridge.Message, done func(error)) {
	select {
	case <-l.ctx.Done():
		done(ErrLinkDown)
		return
	case l.window <- struct{}{}:
	}
	o := l.sink.take(m)
	f := &flight{done: done}
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		l.sink.landed()
		<-l.window
		done(ErrLinkDown)
		return
	}
	l.flights = append(l.flights, f)
	switch {
	case o.Lose:
	case o.Cut:
		f.timer = time.AfterFunc(o.After, l.end)
	default:
		f.timer = time.AfterFunc(o.After, func() { l.answer(f, o.Err) })
	}
	l.mu.Unlock()
}

// take records m as published and returns its outcome.
func (s *Sink) take(m bridge.Message) Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	var o Outcome
	if s.Script != nil {
		o = s.Script(s.n, m)
	}
	s.n++
	s.inFlight++
	s.peak = max(s.peak, s.inFlight)
	if o.Err == nil && !o.Untaken {
		s.taken = append(s.taken, m)
	}
	return o
}

func (s *Sink) landed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
}

// answer ends one flight.
func (l *Link) answer(f *flight, err error) {
	l.mu.Lock()
	i := slices.Index(l.flights, f)
	if i >= 0 {
		l.flights = slices.Delete(l.flights, i, i+1)
	}
	l.mu.Unlock()
	if i >= 0 {
		l.sink.landed()
		<-l.window
		f.done(err)
	}
}

// end breaks the link: what is in flight fails.
func (l *Link) end() {
	l.mu.Lock()
	l.ended = true
	flights := l.flights
	l.flights = nil
	l.mu.Unlock()
	l.cancel()
	for _, f := range flights {
		if f.timer != nil {
			f.timer.Stop()
		}
		l.sink.landed()
		<-l.window
		f.done(ErrLinkDown)
	}
}
