// Package streams is MQTT-based file delivery: files in streams, which things fetch
// block by block, by JSON or CBOR (developer guide, "MQTT-based file delivery"). On
// demand it loses blocks, doubles them and changes their order.
//
// A Service is safe for concurrent use.
package streams

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// Limits of the service.
const (
	mostFiles    = 256
	maximumFile  = 24 << 20
	minimumBlock = 256
	maximumBlock = 128 << 10
	maximumGet   = 128 << 10 // bytes of one answer, whatever was asked for
	mostOffset   = 98304     // blocks
	mostBitmap   = 12288     // bytes
	maximumToken = 64        // bytes
)

// Object returns a file's content and a tag that changes with it; false when there
// is none any more.
type Object func() (data []byte, tag string, ok bool)

// Bytes returns an object that stays as it is.
func Bytes(data []byte) Object { return func() ([]byte, string, bool) { return data, "", true } }

// Stream is a set of files under one id.
type Stream struct {
	ID          string
	Description string
	Role        string // ARN, by which the files are read
	Version     int    // grows with each update
	Files       map[int]Object

	tags map[int]string // what the files were when the stream was made
}

// Faults is what happens to blocks on their way; the shares are from 0 to 1.
type Faults struct {
	Seed      uint64
	Lose      float64
	Duplicate float64
	Reorder   float64 // share of blocks that come after the next one
	// MismatchAfter makes a request fail with VersionMismatch, once, after so many
	// blocks; 0 never does.
	MismatchAfter int
	// DeafAfter makes all blocks be lost after so many; 0 never does.
	DeafAfter int
}

// Counts is what the service has done.
type Counts struct {
	Gets, Blocks, Lost, Bytes int
}

// Service is the service of one account. It is plugged into the broker.
type Service struct {
	mu      sync.Mutex
	streams map[string]*Stream // guarded by mu, as all below; by id
	faults  Faults
	random  *rand.Rand
	counts  Counts
}

// New returns a service without streams.
func New() *Service {
	return &Service{streams: map[string]*Stream{}, random: rand.New(rand.NewPCG(0, 0))}
}

// Disturb sets what happens to blocks from now on.
func (s *Service) Disturb(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.random = f, rand.New(rand.NewPCG(f.Seed, 1))
}

// Counts returns what was done so far.
func (s *Service) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Put adds a stream, or replaces the one of its id under the next version.
func (s *Service) Put(st Stream) error {
	if len(st.Files) == 0 || len(st.Files) > mostFiles {
		return &registry.Error{Code: "InvalidRequestException", Text: "a stream has 1 to 256 files"}
	}
	st.Files, st.tags = maps.Clone(st.Files), map[int]string{}
	for id, f := range st.Files {
		data, tag, ok := f()
		switch {
		case id < 0 || id >= mostFiles:
			return &registry.Error{Code: "InvalidRequestException", Text: "the id of a file is 0 to 255"}
		case !ok:
			return &registry.Error{Code: "InvalidRequestException", Text: "a file of the stream does not exist"}
		case len(data) > maximumFile:
			return &registry.Error{Code: "InvalidRequestException", Text: "a file of a stream has at most 24 MB"}
		}
		st.tags[id] = tag
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Version = 0
	if have := s.streams[st.ID]; have != nil {
		st.Version = have.Version + 1
	}
	s.streams[st.ID] = &st
	return nil
}

// Get returns a stream, and whether there is one.
func (s *Service) Get(id string) (Stream, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.streams[id]; st != nil {
		copied := *st
		copied.Files = maps.Clone(st.Files)
		return copied, true
	}
	return Stream{}, false
}

// All returns the ids of all streams, sorted.
func (s *Service) All() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.streams))
}

// Delete forgets a stream.
func (s *Service) Delete(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, id)
}
