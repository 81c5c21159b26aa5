package bridgetest

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"sync"
)

// State is a [bridge.State] in memory. It takes the keys that a State takes, and no
// others. The zero value is ready to use.
type State struct {
	mu     sync.Mutex
	values map[string][]byte
	fail   error
}

// Get implements [bridge.State].
func (s *State) Get(key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.values[key]), errors.Join(check(key), s.fail)
}

// Put implements [bridge.State].
func (s *State) Put(key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(check(key), s.fail); err != nil {
		return err
	}
	if s.values == nil {
		s.values = make(map[string][]byte)
	}
	s.values[key] = bytes.Clone(value)
	return nil
}

// check refuses what is no key, as [bridge.State] says.
func check(key string) error {
	if keys.MatchString(key) {
		return nil
	}
	return fmt.Errorf("bridgetest: %q is no key of a state", key)
}

var keys = regexp.MustCompile(`^[a-z0-9_-][a-z0-9._-]*$`)

// Fail makes every call return err, until it is nil again.
func (s *State) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// Note implements [bridge.Notebook].
func (s *State) Note(key string, value []byte) error { return s.Put(key, value) }
