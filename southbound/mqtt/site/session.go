package site

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// session is the session of one connection to a site broker. It takes the
// acknowledging out of paho's hands: paho acknowledges a message when its
// handler returns, or looks for what may be acknowledged 20 times a second
// through a list. Here a message is acknowledged as soon as it and all before
// it are safe.
//
// It lives as long as the connection. What was not acknowledged is sent again
// by the broker on the next one.
type session struct {
	*state.State
	fail    func(error) // ends the connection; does not wait
	refused *atomic.Uint64

	mu      sync.Mutex
	waiting []*ack        // guarded by mu; in the order of arrival
	sending int           // guarded by mu; taken out of waiting and not yet sent
	due     chan struct{} // receives a value when the first may be acknowledged
	room    chan struct{} // receives a value when some have been
}

type ack struct {
	session *session
	answer  func() error // acknowledges it
	done    bool         // guarded by session.mu
}

func newSession(fail func(error), refused *atomic.Uint64) *session {
	return &session{State: state.NewInMemory(), fail: fail, refused: refused,
		due: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// Ack is paho's: it comes when the handler has returned, which is too early.
func (s *session) Ack(*packets.Publish) error { return nil }

// expectPublish is as expect, for a message of MQTT 5; nil if its sender does not
// want to know.
func (s *session) expectPublish(p *paho.Publish) func(error) {
	if p.QoS == 0 {
		return nil
	}
	ack := &packets.Publish{PacketID: p.PacketID, QoS: p.QoS}
	return s.expect(func() error { return s.State.Ack(ack) })
}

// expect returns what must be told when a message is safe; then answer
// acknowledges it. answer is called in the order of arrival, by one goroutine.
func (s *session) expect(answer func() error) func(error) {
	a := &ack{session: s, answer: answer}
	s.mu.Lock()
	s.waiting = append(s.waiting, a)
	many := len(s.waiting) > 2*mostInFlight
	s.mu.Unlock()
	if many {
		s.fail(errors.New("the broker sends more messages than the Receive Maximum allows"))
	}
	return a.safe
}

// safe is told that the message is safe, or was refused. It does not wait.
func (a *ack) safe(err error) {
	s := a.session
	if err != nil {
		s.refused.Add(1)
		// A refusal by PUBACK would make the broker forget the message. Without
		// an answer it keeps it, and sends it again on the next connection.
		s.fail(fmt.Errorf("disconnecting so that the broker keeps its messages: %w", err))
		return
	}
	s.mu.Lock()
	a.done = true
	due := s.waiting[0].done
	s.mu.Unlock()
	if due {
		select {
		case s.due <- struct{}{}:
		default:
		}
	}
}

// run acknowledges until done is closed.
func (s *session) run(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-s.due:
		}
		for _, a := range s.take() {
			if err := a.answer(); err != nil {
				s.fail(fmt.Errorf("acknowledge: %w", err))
				return
			}
		}
		s.mu.Lock()
		s.sending = 0
		s.mu.Unlock()
		select {
		case s.room <- struct{}{}:
		default:
		}
	}
}

// awaitRoom waits until fewer than most messages wait for their
// acknowledgement. It reports false if done is closed or patience is over before.
func (s *session) awaitRoom(most int, done <-chan struct{}, patience time.Duration) bool {
	if s.unacknowledged() < most {
		return true
	}
	over := time.NewTimer(patience)
	defer over.Stop()
	for s.unacknowledged() >= most {
		select {
		case <-done:
			return false
		case <-over.C:
			return false
		case <-s.room:
		}
	}
	return true
}

// unacknowledged counts the messages that the broker waits for.
func (s *session) unacknowledged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) + s.sending
}

// take takes out what may be acknowledged: all before the first that is not
// yet safe.
func (s *session) take() []*ack {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := slices.IndexFunc(s.waiting, func(a *ack) bool { return !a.done })
	if n < 0 {
		n = len(s.waiting)
	}
	due := slices.Clone(s.waiting[:n])
	s.sending = n
	s.waiting = slices.Delete(s.waiting, 0, n)
	return due
}

// errYet is the fault of a client that was just made.
var errYet = errors.New("not connected yet")

// starting reports whether the first attempt may still succeed. s.mu is held.
func (s *Client) starting() bool {
	return errors.Is(s.fault, errYet) && time.Since(s.since) < startingFor
}

const startingFor = 10 * time.Second
