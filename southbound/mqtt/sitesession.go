package mqtt

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// siteConn is what paho reads from and writes to. Its packet reader reads
// single bytes, so there is a buffer; and it writes a packet in pieces unless
// the connection has a lock.
type siteConn struct {
	net.Conn
	sync.Mutex // of a packet that is written
	in         *bufio.Reader
	begin      [3]byte // of what the broker said
	heard      int     // bytes of begin
}

func newSiteConn(c net.Conn) *siteConn { return &siteConn{Conn: c, in: bufio.NewReaderSize(c, 16<<10)} }

func (c *siteConn) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	if c.heard < len(c.begin) {
		c.heard += copy(c.begin[c.heard:], b[:n])
	}
	return n, err
}

// old reports whether the answer to CONNECT is not that of MQTT 5: a CONNACK
// without properties, or nothing at all.
func (c *siteConn) old() bool { return c.heard == 0 || c.begin[0] == 0x20 && c.begin[1] == 2 }

// siteSession is the session of one connection to a site broker. It takes the
// acknowledging out of paho's hands: paho acknowledges a message when its
// handler returns, or looks for what may be acknowledged 20 times a second
// through a list. Here a message is acknowledged as soon as it and all before
// it are safe.
//
// It lives as long as the connection. What was not acknowledged is sent again
// by the broker on the next one.
type siteSession struct {
	*state.State
	fail    func(error) // ends the connection; does not wait
	refused *atomic.Uint64

	mu      sync.Mutex
	waiting []*siteAck    // guarded by mu; in the order of arrival
	sending int           // guarded by mu; taken out of waiting and not yet sent
	due     chan struct{} // receives a value when the first may be acknowledged
	room    chan struct{} // receives a value when some have been
}

type siteAck struct {
	session *siteSession
	answer  func() error // acknowledges it
	done    bool         // guarded by session.mu
}

func newSiteSession(fail func(error), refused *atomic.Uint64) *siteSession {
	return &siteSession{State: state.NewInMemory(), fail: fail, refused: refused,
		due: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// Ack is paho's: it comes when the handler has returned, which is too early.
func (s *siteSession) Ack(*packets.Publish) error { return nil }

// expectPublish is as expect, for a message of MQTT 5; nil if its sender does not
// want to know.
func (s *siteSession) expectPublish(p *paho.Publish) func(error) {
	if p.QoS == 0 {
		return nil
	}
	ack := &packets.Publish{PacketID: p.PacketID, QoS: p.QoS}
	return s.expect(func() error { return s.State.Ack(ack) })
}

// expect returns what must be told when a message is safe; then answer
// acknowledges it. answer is called in the order of arrival, by one goroutine.
func (s *siteSession) expect(answer func() error) func(error) {
	a := &siteAck{session: s, answer: answer}
	s.mu.Lock()
	s.waiting = append(s.waiting, a)
	many := len(s.waiting) > 2*siteInFlight
	s.mu.Unlock()
	if many {
		s.fail(errors.New("the broker sends more messages than the Receive Maximum allows"))
	}
	return a.safe
}

// safe is told that the message is safe, or was refused. It does not wait.
func (a *siteAck) safe(err error) {
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
func (s *siteSession) run(done <-chan struct{}) {
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
func (s *siteSession) awaitRoom(most int, done <-chan struct{}, patience time.Duration) bool {
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
func (s *siteSession) unacknowledged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) + s.sending
}

// take takes out what may be acknowledged: all before the first that is not
// yet safe.
func (s *siteSession) take() []*siteAck {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := slices.IndexFunc(s.waiting, func(a *siteAck) bool { return !a.done })
	if n < 0 {
		n = len(s.waiting)
	}
	due := slices.Clone(s.waiting[:n])
	s.sending = n
	s.waiting = slices.Delete(s.waiting, 0, n)
	return due
}

// maxFilters is how many filters one SUBSCRIBE carries: small enough for
// brokers with a limit, AWS has 8.
const maxFilters = 8

// subscribe makes the subscriptions of a connection those that are wanted; have
// is what they are. Filters that the broker refuses are remembered and hurt no
// other.
func (s *site) subscribe(ctx context.Context, client siteClient, have *[]subscription) error {
	s.mu.Lock()
	wanted := slices.Clone(s.wanted)
	s.denied = nil
	s.mu.Unlock()
	for _, old := range *have {
		if slices.ContainsFunc(wanted, func(w subscription) bool { return w.filter == old.filter }) {
			continue
		}
		if err := client.unsubscribe(ctx, old.filter); err != nil {
			return fmt.Errorf("unsubscribe from %s: %w", old.filter, err)
		}
	}
	ask := wanted
	if !client.resubscribes() {
		ask = slices.DeleteFunc(slices.Clone(wanted), func(w subscription) bool { return slices.Contains(*have, w) })
	}
	for some := range slices.Chunk(ask, maxFilters) {
		reasons, err := client.subscribe(ctx, some)
		if err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		s.noteDenied(some, reasons)
	}
	s.mu.Lock()
	*have = slices.DeleteFunc(wanted, func(w subscription) bool { return slices.Contains(s.denied, w.filter) })
	s.mu.Unlock()
	s.remember(*have)
	return nil
}

// The broker keeps our subscriptions while we are away, also those of rules
// that are gone when we come back: so they are remembered here too.

func (s *site) stateKey() string { return fmt.Sprintf("mqtt.subscriptions.%x", s.name) }

func (s *site) remember(subs []subscription) {
	if s.state == nil {
		return
	}
	filters := make(map[string]byte, len(subs)) // with their QoS
	for _, sub := range subs {
		filters[sub.filter] = sub.qos
	}
	b, err := json.Marshal(filters)
	if err == nil {
		err = s.state.Put(s.stateKey(), b)
	}
	if err != nil {
		s.log.Warn("can't remember the subscriptions: those of rules that are removed later stay at the broker", "err", err)
	}
}

// remembered returns the subscriptions of an earlier connection.
func (s *site) remembered() []subscription {
	if s.state == nil {
		return nil
	}
	b, err := s.state.Get(s.stateKey())
	var filters map[string]byte
	if err != nil || json.Unmarshal(b, &filters) != nil {
		return nil
	}
	var subs []subscription
	for _, filter := range slices.Sorted(maps.Keys(filters)) {
		subs = append(subs, subscription{filter, filters[filter]})
	}
	return subs
}

func (s *site) noteDenied(subs []subscription, reasons []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, reason := range reasons {
		if reason >= 0x80 && i < len(subs) {
			s.denied = append(s.denied, subs[i].filter)
			s.log.Error("the site broker refuses a subscription", "topic", subs[i].filter, "code", fmt.Sprintf("0x%02x", reason))
		}
	}
}
