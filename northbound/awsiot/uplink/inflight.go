package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	paholog "github.com/eclipse/paho.golang/paho/log"
	mqttsession "github.com/eclipse/paho.golang/paho/session"
)

// inflight is the MQTT session state of one connection. It replaces the
// library's own for three reasons: the outcome of each message is told by a
// callback instead of a goroutine that waits; nothing is stored, because the
// queue does; and the end of the connection is an outcome, too.
//
// It is used for one connection only.
type inflight struct {
	slots chan struct{} // one value per message in flight
	ended func()        // called when the connection ends
	wrong func(error)   // called when an answer breaks the protocol

	mu      sync.Mutex
	conn    io.Writer           // guarded by mu; nil when there is no connection
	last    uint16              // guarded by mu; the last packet id given out
	pending map[uint16]*pending // guarded by mu
	oldest  []*pending          // guarded by mu; messages in the order of sending, those done included
	closed  chan struct{}       // closed with the connection
	reason  *packets.Disconnect // guarded by mu; what the server said at the end
	acked   uint64              // guarded by mu; messages acknowledged with a reason below 0x80
}

// pending is a packet whose answer is awaited.
type pending struct {
	kind   byte                       // of the packet that answers it
	done   func(code byte, err error) // for a message; called once
	answer chan<- packets.ControlPacket
	sent   time.Time
	over   bool // guarded by inflight.mu
}

var _ mqttsession.SessionManager = (*inflight)(nil)

var ErrLost = errors.New("connection lost")

func newInflight() *inflight {
	return &inflight{pending: make(map[uint16]*pending), closed: make(chan struct{})}
}

// grant sets how many messages may be in flight.
func (f *inflight) grant(n int) { f.slots = make(chan struct{}, n) }

// acquire takes a place; it reports false when the connection ends first.
func (f *inflight) acquire() bool {
	select {
	case f.slots <- struct{}{}:
		return true
	case <-f.closed:
		return false
	}
}

// ConAckReceived implements [mqttsession.SessionManager].
func (f *inflight) ConAckReceived(w io.Writer, _ *packets.Connect, _ *packets.Connack) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conn = w
	return nil
}

// ConnectionLost implements [mqttsession.SessionManager]: it ends everything that
// is awaited.
func (f *inflight) ConnectionLost(d *packets.Disconnect) error {
	f.mu.Lock()
	if f.reason == nil {
		f.reason = d
	}
	lost := f.pending
	f.pending, f.oldest, f.conn = make(map[uint16]*pending), nil, nil
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
	for _, p := range lost {
		p.over = true
	}
	f.mu.Unlock()
	f.ended()
	for _, p := range lost {
		if p.done != nil {
			p.done(0, ErrLost)
			<-f.slots
		} else {
			p.answer <- packets.ControlPacket{}
		}
	}
	return nil
}

// AddToSession implements [mqttsession.SessionManager] for what the library
// sends itself.
func (f *inflight) AddToSession(_ context.Context, p mqttsession.Packet, answer chan<- packets.ControlPacket) error {
	kind := byte(packets.SUBACK)
	if p.Type() == packets.UNSUBSCRIBE {
		kind = packets.UNSUBACK
	}
	id, err := f.add(&pending{kind: kind, answer: answer})
	if err == nil {
		p.SetIdentifier(id)
	}
	return err
}

// add gives a packet an identifier and notes it as sent.
func (f *inflight) add(entry *pending) (uint16, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn == nil {
		return 0, mqttsession.ErrNoConnection
	}
	id := f.last
	for range 1 << 16 {
		if id++; id == 0 {
			id = 1
		}
		if f.pending[id] == nil {
			f.last, f.pending[id] = id, entry
			entry.sent = time.Now()
			if entry.done != nil {
				f.oldest = append(f.oldest, entry)
			}
			return id, nil
		}
	}
	return 0, mqttsession.ErrPacketIdentifiersExhausted
}

// PacketReceived implements [mqttsession.SessionManager].
func (f *inflight) PacketReceived(recv *packets.ControlPacket, messages chan<- *packets.Publish) error {
	switch p := recv.Content.(type) {
	case *packets.Puback:
		f.settle(p.PacketID, p.ReasonCode)
	case *packets.Suback:
		f.answer(p.PacketID, recv)
	case *packets.Unsuback:
		f.answer(p.PacketID, recv)
	case *packets.Publish:
		select {
		case messages <- p:
		case <-f.closed:
		}
	case *packets.Pubrec:
		f.violated(recv.Type, p.PacketID)
	case *packets.Pubcomp:
		f.violated(recv.Type, p.PacketID)
	}
	return nil
}

// protocolError is of a peer that answers what it was not asked.
type protocolError struct {
	kind byte // of the packet
	id   uint16
}

func (e *protocolError) Error() string {
	return fmt.Sprintf("a packet of type %d answers packet %d, which is of another kind", e.kind, e.id)
}

// violated ends the connection: whatever else is in flight gets its outcome with
// the end (MQTT 5, section 4.13). QoS 2 is never spoken here.
func (f *inflight) violated(kind byte, id uint16) { f.wrong(&protocolError{kind, id}) }

// take returns what a packet answers, and forgets it; nil if that is nothing, as
// an answer that came twice. An answer of another kind than was asked for takes
// nothing: the place in the window would be lost, and nobody would ever know.
func (f *inflight) take(kind byte, id uint16) *pending {
	p, wrong := f.find(kind, id)
	if wrong {
		f.violated(kind, id)
	}
	return p
}

func (f *inflight) find(kind byte, id uint16) (p *pending, wrong bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p = f.pending[id]
	if p == nil || p.kind != kind {
		return nil, p != nil
	}
	delete(f.pending, id)
	p.over = true
	for len(f.oldest) > 0 && f.oldest[0].over {
		f.oldest[0] = nil
		f.oldest = f.oldest[1:]
	}
	return p, false
}

func (f *inflight) settle(id uint16, code byte) {
	p := f.take(packets.PUBACK, id)
	if p == nil {
		return // an answer to nothing
	}
	if code < 0x80 {
		f.mu.Lock()
		f.acked++
		f.mu.Unlock()
	}
	p.done(code, nil)
	<-f.slots
}

func (f *inflight) answer(id uint16, recv *packets.ControlPacket) {
	if p := f.take(recv.Type, id); p != nil {
		p.answer <- *recv
	}
}

// waiting returns since when the oldest message is in flight; false when there
// is none.
func (f *inflight) waiting() (since time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.oldest) == 0 {
		return time.Time{}, false
	}
	return f.oldest[0].sent, true
}

// acknowledged returns how many messages the cloud has accepted.
func (f *inflight) acknowledged() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acked
}

// disconnect returns the DISCONNECT that the server sent, if it did.
func (f *inflight) disconnect() *packets.Disconnect {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reason
}

// Ack implements [mqttsession.SessionManager]: it acknowledges an inbound message.
func (f *inflight) Ack(pb *packets.Publish) error {
	f.mu.Lock()
	w := f.conn
	f.mu.Unlock()
	if w == nil || pb.QoS != 1 {
		return nil
	}
	ack := packets.Puback{Properties: &packets.Properties{}, PacketID: pb.PacketID}
	_, err := ack.WriteTo(w)
	return err
}

// Close implements [mqttsession.SessionManager].
func (f *inflight) Close() error { return f.ConnectionLost(nil) }

// SetErrorLogger implements [mqttsession.SessionManager].
func (f *inflight) SetErrorLogger(paholog.Logger) {}

// SetDebugLogger implements [mqttsession.SessionManager].
func (f *inflight) SetDebugLogger(paholog.Logger) {}
