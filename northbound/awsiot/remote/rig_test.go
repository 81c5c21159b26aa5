package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"fieldbridge/bridge"
)

var quiet = slog.New(slog.DiscardHandler)

// fakeWriter is a scripted [bridge.Writer].
type fakeWriter struct {
	mu     sync.Mutex
	writes []bridge.Command
	err    error
	wait   time.Duration
}

func (w *fakeWriter) Write(ctx context.Context, c bridge.Command) bridge.Written {
	w.mu.Lock()
	w.writes = append(w.writes, c)
	err, wait := w.err, w.wait
	w.mu.Unlock()
	select {
	case <-ctx.Done():
		return bridge.NotWritten(ctx.Err())
	case <-time.After(wait):
		if err == nil {
			return bridge.Written{Outcome: bridge.Done}
		}
		return bridge.NotWritten(err)
	}
}

func (w *fakeWriter) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.writes)
}

// commandNow returns a command that is given now.
func commandNow(id, rest string) string {
	return fmt.Sprintf(`{"id":%q,"at":%d%s}`, id, time.Now().UnixMilli(), rest)
}

// failingState is a [bridge.State] whose disk can break.
type failingState struct {
	memoryState
	broken bool
}

func (s *failingState) fail(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = on
}

func (s *failingState) Put(key string, value []byte) error {
	s.mu.Lock()
	broken := s.broken
	s.mu.Unlock()
	if broken {
		return errors.New("disk full")
	}
	return s.memoryState.Put(key, value)
}

type memoryState struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (s *memoryState) Get(key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[key], nil
}

func (s *memoryState) Put(key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = make(map[string][]byte)
	}
	s.values[key] = value
	return nil
}

func testOptions(w bridge.Writer, state bridge.State) Options {
	return Options{Gateway: "g", Run: "r", Log: quiet, State: state, Writer: w, Synced: func() bool { return true },
		Report: func() map[string]any { return map[string]any{} }, Rebirth: func() {}}
}

func (s *slowState) Put(key string, value []byte) error {
	time.Sleep(s.takes)
	return s.memoryState.Put(key, value)
}

const (
	setSetpoint = `,"device":"boiler","point":"setpoint","value":60.5`
	setPump     = `{"device":"boiler","point":"pump","value":true}`
)
