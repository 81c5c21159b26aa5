package bridgetest

import (
	"context"
	"sync"
	"time"

	"fieldbridge/bridge"
)

// Step is one thing that a [Source] does.
type Step struct {
	After   time.Duration // the pause before
	Batch   bridge.Batch  // emitted; At is set if it is zero
	Waiting bool          // a sensor waits until it is safe
	Err     error         // the source returns it instead
}

// Source is a scripted [bridge.Source]: it does its steps, then waits until its
// context ends.
type Source struct {
	Steps []Step

	mu   sync.Mutex
	safe []error
	done int
	runs int
}

// Run implements [bridge.Source]. A second run goes on after the step that
// ended the first.
func (s *Source) Run(ctx context.Context, emit bridge.Emit) error {
	s.mu.Lock()
	s.runs++
	first := s.done
	s.mu.Unlock()
	for _, step := range s.Steps[first:] {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(step.After):
		}
		s.mu.Lock()
		s.done++
		s.mu.Unlock()
		if step.Err != nil {
			return step.Err
		}
		s.emit(step, emit)
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *Source) emit(step Step, emit bridge.Emit) {
	b := step.Batch
	b.Readings = append([]bridge.Reading(nil), b.Readings...) // the receiver owns them
	if b.At.IsZero() {
		b.At = time.Now()
	}
	if !step.Waiting {
		emit(b, nil)
		return
	}
	emit(b, func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.safe = append(s.safe, err)
	})
}

// Safe returns what the waiting batches were told, in that order.
func (s *Source) Safe() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]error(nil), s.safe...)
}

// Runs returns how many times the source was run.
func (s *Source) Runs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs
}
