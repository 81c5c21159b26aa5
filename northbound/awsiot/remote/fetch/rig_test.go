package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/awsiottest/service"
	"fieldbridge/northbound/awsiot/awsiottest/streams"
	"fieldbridge/northbound/awsiot/uplink"
)

const oneWay = 25 * time.Millisecond

// rig is a fetcher and the stand-in's streams, in a bubble and without a network.
type rig struct {
	*testing.T
	cloud   *streams.Service
	o       Options
	fetcher *Fetcher
	session *session
	stop    func() // ends the process
}

// session hands messages on, one way late.
type session struct {
	r    *rig
	mu   sync.Mutex
	f    map[string]func(uplink.Inbound) // guarded by mu
	subs map[string]bool                 // guarded by mu
	gets []time.Time                     // guarded by mu
	sent int                             // guarded by mu
	deaf bool                            // guarded by mu; nothing arrives
	fail error                           // guarded by mu; of what is sent
}

func (s *session) Send(m *bridge.Message, _ []byte, done func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	if strings.HasSuffix(m.Topic, "/get/cbor") {
		s.gets = append(s.gets, time.Now())
	}
	if s.fail != nil {
		go done(s.fail)
		return
	}
	go func() {
		time.Sleep(oneWay)
		if s.r.cloud.Request(service.Caller{Thing: "g", Subscribed: s.deliver}, m.Topic, bytes.Clone(m.Payload)) {
			done(nil)
		}
	}()
}

// deliver is called in the order of the blocks, by one goroutine for each request.
func (s *session) deliver(topic string, payload []byte) {
	time.Sleep(oneWay / 8)
	s.mu.Lock()
	f := s.f["$aws/things/g/streams/s/"]
	if !s.subs[topic] || s.deaf {
		f = nil
	}
	s.mu.Unlock()
	if f != nil {
		f(uplink.Inbound{Topic: topic, Payload: payload})
	}
}

func (s *session) SubscribeLossy(_ context.Context, topics ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range topics {
		s.subs[t] = true
	}
	return nil
}

func (s *session) Unsubscribe(_ context.Context, topics ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range topics {
		delete(s.subs, t)
	}
	return nil
}

func (s *session) HandleBelow(prefix string, f func(uplink.Inbound)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.f[prefix] = f
	if f == nil {
		delete(s.f, prefix)
	}
}

func (s *session) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// content returns size bytes and what was signed of them.
func content(size int) ([]byte, File) {
	data := make([]byte, size)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data) // does not fail
	sum := sha256.Sum256(data)
	return data, File{hex.EncodeToString(sum[:]), int64(size)}
}

func bubble(t *testing.T, f func(r *rig)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, cloud: streams.New(), stop: func() {},
			o: Options{Thing: "g", Dir: dir, Log: slog.New(slog.DiscardHandler)}}
		defer func() { r.stop() }()
		f(r)
	})
}

// put makes the stream s, with one file.
func (r *rig) put(file streams.Object) {
	r.Helper()
	if err := r.cloud.Put(streams.Stream{ID: "s", Files: map[int]streams.Object{0: file}}); err != nil {
		r.Fatal(err)
	}
}

// start is a start of the process. It returns what ends its connection.
func (r *rig) start() (lose func()) {
	r.stop()
	r.fetcher = New(r.o)
	return r.connect()
}

func (r *rig) connect() (lose func()) {
	s := &session{r: r, f: map[string]func(uplink.Inbound){}, subs: map[string]bool{}}
	r.session = s
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); r.fetcher.Serve(ctx, s) }()
	r.stop = func() { cancel(); <-ended }
	synctest.Wait()
	return r.stop
}

// fetch fetches and checks what came.
func (r *rig) fetch(want File) error {
	r.Helper()
	path, err := r.fetcher.Fetch(r.Context(), want, Source{Stream: "s"}, nil)
	if err == nil {
		r.is(path, want)
	}
	return err
}

// is checks a file: right, for its owner alone, and nothing beside it.
func (r *rig) is(path string, want File) {
	r.Helper()
	data, err := os.ReadFile(path)
	if sum := sha256.Sum256(data); err != nil || hex.EncodeToString(sum[:]) != want.SHA256 {
		r.Errorf("%d bytes, %v", len(data), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		r.Errorf("%v, %v", info.Mode(), err)
	}
	if all, err := os.ReadDir(r.o.Dir); err != nil || len(all) != 1 {
		r.Errorf("%v, %v", all, err)
	}
}

var errPolicy = errors.New("PUBACK 0x87, the policy of the certificate does not allow it")
