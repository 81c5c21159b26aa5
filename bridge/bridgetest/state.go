package bridgetest

import (
	"bytes"
	"sync"
)

// State is a [bridge.State] in memory. The zero value is ready to use.
type State struct {
	mu     sync.Mutex
	values map[string][]byte
	fail   error
}

// Get implements [bridge.State].
func (s *State) Get(key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.values[key]), s.fail
}

// Put implements [bridge.State].
func (s *State) Put(key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if s.values == nil {
		s.values = make(map[string][]byte)
	}
	s.values[key] = bytes.Clone(value)
	return nil
}

// Fail makes every call return err, until it is nil again.
func (s *State) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// Note implements [bridge.Notebook].
func (s *State) Note(key string, value []byte) error { return s.Put(key, value) }
