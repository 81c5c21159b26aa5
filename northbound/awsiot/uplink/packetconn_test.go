package uplink

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"

	"fieldbridge/bridge"
)

// writes are those of a connection.
type writes struct {
	net.Conn
	all  [][]byte
	each chan struct{}
	err  error
}

func (w *writes) Write(b []byte) (int, error) {
	w.all = append(w.all, bytes.Clone(b))
	w.each <- struct{}{}
	return len(b), w.err
}

// TestPublishTogether: messages that follow on one another leave in one piece, in their
// order, as far as a record of TLS goes; what the library sends comes behind them.
func TestPublishTogether(t *testing.T) {
	w := &writes{each: make(chan struct{}, 10)}
	c := newPacketConn(w, func(err error) { t.Error(err) })
	small := bridge.Message{Topic: "a", Payload: make([]byte, 5000)}
	var want []byte
	for id := range uint16(3) {
		c.publish(id+1, &small, nil)
		want = appendPublish(want, id+1, &small, nil)
	}
	if len(w.all) != 0 {
		t.Fatalf("%d writes before who publishes waits", len(w.all))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); c.writing(ctx) }()
	<-w.each
	cancel()
	<-ended
	if len(w.all) != 1 || !bytes.Equal(w.all[0], want) {
		t.Fatalf("three messages left in %d writes", len(w.all))
	}

	w.all = nil
	for id := range uint16(4) {
		c.publish(id+1, &small, nil)
	}
	if len(w.all) != 1 || len(w.all[0]) != len(want) {
		t.Errorf("the fourth does not fit: %d writes before it", len(w.all))
	}
	c.Lock()
	_, _ = c.Write([]byte{0xc0, 0})
	c.Unlock()
	if len(w.all) != 2 || !bytes.HasSuffix(w.all[1], []byte{0xc0, 0}) || len(w.all[1]) != len(want)/3+2 {
		t.Errorf("a ping overtakes a message: % x", w.all[1:])
	}
	large := bridge.Message{Topic: "a", Payload: make([]byte, 100_000)}
	c.publish(9, &large, nil)
	c.publish(10, &small, nil)
	if len(w.all) != 3 || len(w.all[2]) < 100_000 || len(w.all[2]) > 100_100 {
		t.Errorf("%d writes, a large message is one", len(w.all))
	}
}

// TestPublishFails: the first error of a write is told, and nothing is written after it.
func TestPublishFails(t *testing.T) {
	w := &writes{each: make(chan struct{}, 10), err: errors.New("reset")}
	told := make(chan error, 10)
	c := newPacketConn(w, func(err error) { told <- err })
	m := bridge.Message{Topic: "a", Payload: []byte("1")}
	c.publish(1, &m, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); c.writing(ctx) }()
	if err := <-told; !errors.Is(err, w.err) {
		t.Errorf("told of %v", err)
	}
	cancel()
	<-ended
	c.publish(2, &m, nil)
	c.Lock()
	_, err := c.Write([]byte{0xc0, 0})
	c.Unlock()
	if !errors.Is(err, w.err) || len(w.all) != 1 || len(told) != 0 {
		t.Errorf("%d writes, told %d times more", len(w.all), len(told))
	}
}
