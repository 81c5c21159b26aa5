package modbustest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldbridge/blackbox"
)

// Replay plays what a flight recorder has of a bus as the devices on it: each
// request is answered as it was then, byte by byte and after the same time, silence
// included; when all answers to it were given it begins anew. A read that was not
// recorded is answered from the registers that were. It is safe for concurrent use.
type Replay struct {
	// Framing is what the recorded bus had; over TCP for a serial line and UDP, too.
	Framing Framing
	// Fast leaves out the time that answers took, silence but. It is set before Serve.
	Fast bool

	mu      sync.Mutex
	played  map[string][]*exchange // guarded by mu; by unit and PDU of the request
	next    map[string]int         // guarded by mu; the answer to give next
	image   map[spot]uint16        // registers and bits as last read; not changed after NewReplay
	units   map[byte]bool          // that were asked; not changed either
	strange map[string]bool        // guarded by mu; requests that were not recorded
}

// exchange is a request, and what came until the next one.
type exchange struct {
	at      time.Time
	unit    byte
	pdu     []byte
	answer  []piece
	hangsUp bool // the device closed the connection
}

// piece is what came at once.
type piece struct {
	after time.Duration // the request
	data  []byte
}

// spot is a place in a table of a unit; the table is the function that reads it.
type spot struct {
	unit, function byte
	address        uint16
}

// NewReplay returns a replay of a recording. Frames before its first request are
// left out.
func NewReplay(r blackbox.Recording) (*Replay, error) {
	p := &Replay{played: make(map[string][]*exchange), next: make(map[string]int), image: make(map[spot]uint16),
		units: make(map[byte]bool), strange: make(map[string]bool)}
	switch scheme, _, _ := strings.Cut(r.At, "://"); scheme {
	case "rtu", "rtu+tcp":
		p.Framing = RTU
	case "ascii", "ascii+tcp":
		p.Framing = ASCII
	case "tcp", "tls", "udp":
	default:
		return nil, fmt.Errorf("%q is not a recording of a Modbus bus", r.Tape)
	}
	t := &transcript{replay: p, asked: make(map[uint16]*exchange)}
	for _, f := range r.Frames {
		t.frame(f)
	}
	if len(p.played) == 0 {
		return nil, fmt.Errorf("the recording of %q holds no request", r.Tape)
	}
	for _, all := range p.played {
		for _, e := range all {
			p.learn(e)
		}
	}
	return p, nil
}

// transcript reads the frames of a recording in their order.
type transcript struct {
	replay *Replay
	last   *exchange
	asked  map[uint16]*exchange // by transaction
	rest   []byte               // of a frame that was begun; where there are transactions
}

func (t *transcript) frame(f blackbox.Frame) {
	switch f.Direction {
	case blackbox.Sent:
		transaction, unit, pdu, err := dissect(t.replay.Framing, f.Data)
		if err != nil {
			return // not a request, or not all of it was recorded
		}
		t.last = &exchange{at: f.At, unit: unit, pdu: pdu}
		t.asked[transaction] = t.last
		key := string([]byte{unit}) + string(pdu)
		t.replay.played[key] = append(t.replay.played[key], t.last)
		t.replay.units[unit] = true
	case blackbox.Received:
		if t.last == nil {
			return
		}
		if t.replay.Framing.Lined() {
			t.last.answer = append(t.last.answer, piece{f.At.Sub(t.last.at), f.Data})
			return
		}
		t.rest = append(t.rest, f.Data...)
		for len(t.rest) >= 7 {
			n := 6 + int(binary.BigEndian.Uint16(t.rest[4:]))
			if len(t.rest) < n {
				break
			}
			of := t.asked[binary.BigEndian.Uint16(t.rest)]
			if of == nil {
				of = t.last
			}
			of.answer = append(of.answer, piece{f.At.Sub(of.at), slices.Clone(t.rest[:n])})
			t.rest = t.rest[n:]
		}
	case blackbox.Note:
		t.rest = nil
		if text := string(f.Data); t.last != nil && (strings.HasPrefix(text, "read: EOF") ||
			strings.Contains(text, "reset by peer")) {
			t.last.hangsUp = true
		}
	}
}

// dissect returns what a frame asks.
func dissect(f Framing, frame []byte) (transaction uint16, unit byte, pdu []byte, err error) {
	c := peer{sim: &Simulator{Framing: f}, r: bufio.NewReaderSize(bytes.NewReader(frame), 1<<10)}
	transaction, unit, err = c.read()
	return transaction, unit, c.pdu, err
}

// learn keeps what was read by e.
func (p *Replay) learn(e *exchange) {
	answer, ok := p.pdu(e)
	if !ok || len(e.pdu) != 5 || e.pdu[0] < 1 || e.pdu[0] > 4 || len(answer) < 2 || answer[0] != e.pdu[0] ||
		len(answer) != 2+int(answer[1]) {
		return
	}
	at, count := binary.BigEndian.Uint16(e.pdu[1:]), int(binary.BigEndian.Uint16(e.pdu[3:]))
	data := answer[2:]
	for i := range count {
		s := spot{e.unit, e.pdu[0], at + uint16(i)}
		if e.pdu[0] <= 2 && i/8 < len(data) {
			p.image[s] = uint16(data[i/8] >> (i % 8) & 1)
		} else if e.pdu[0] > 2 && 2*i+2 <= len(data) {
			p.image[s] = binary.BigEndian.Uint16(data[2*i:])
		}
	}
}

// pdu returns the PDU of the answer, if it is one.
func (p *Replay) pdu(e *exchange) ([]byte, bool) {
	var all []byte
	for _, part := range e.answer {
		all = append(all, part.data...)
	}
	n := len(all)
	switch {
	case p.Framing == RTU && n >= 4 && crc(all[:n-2]) == binary.LittleEndian.Uint16(all[n-2:]):
		return all[1 : n-2], true
	case p.Framing == ASCII:
		_, _, pdu, err := dissect(ASCII, all)
		return pdu, err == nil
	case !p.Framing.Lined() && n >= 8 && n == 6+int(binary.BigEndian.Uint16(all[4:])):
		return all[7:], true
	}
	return nil, false
}

// Units returns the unit ids that were asked.
func (p *Replay) Units() (ids []int) {
	for id := range p.units {
		ids = append(ids, int(id))
	}
	slices.Sort(ids)
	return ids
}

// Requests returns how many requests were recorded.
func (p *Replay) Requests() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, all := range p.played {
		n += len(all)
	}
	return n
}

// Strange returns the requests that came and were not recorded, in hexadecimal:
// the unit and the PDU.
func (p *Replay) Strange() (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key := range p.strange {
		all = append(all, fmt.Sprintf("% x", key))
	}
	slices.Sort(all)
	return all
}

// Serve answers whoever connects, until ctx ends; it closes l.
func (p *Replay) Serve(ctx context.Context, l net.Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		conn, err := l.Accept()
		if err != nil {
			_ = l.Close() // by ctx already, or it has failed
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		conns.Go(func() { p.ServeConn(ctx, conn) })
	}
}

// ServeConn answers the requests of one connection until it ends or ctx does, and
// closes it.
func (p *Replay) ServeConn(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	c := peer{sim: &Simulator{Framing: p.Framing}, conn: conn, r: bufio.NewReaderSize(conn, 1<<10)}
	for ctx.Err() == nil {
		transaction, unit, err := c.read()
		if err != nil {
			return
		}
		began := time.Now()
		e := p.answer(unit, c.pdu)
		for _, part := range e.answer {
			if !p.Fast && !wait(ctx, time.Until(began.Add(part.after))) {
				return
			}
			data := part.data
			if !p.Framing.Lined() {
				data = slices.Clone(data)
				binary.BigEndian.PutUint16(data, transaction)
			}
			if _, err := conn.Write(data); err != nil {
				return
			}
		}
		if e.hangsUp {
			return
		}
	}
}

// answer returns what is to be done about a request.
func (p *Replay) answer(unit byte, pdu []byte) *exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := string([]byte{unit}) + string(pdu)
	if all := p.played[key]; len(all) > 0 {
		e := all[p.next[key]%len(all)]
		p.next[key]++
		return e
	}
	p.strange[key] = true
	if !p.units[unit] {
		return &exchange{}
	}
	answer := p.fromImage(unit, pdu)
	frame := p.Framing.append(nil, &Answer{Unit: unit, PDU: answer})
	return &exchange{answer: []piece{{0, frame}}}
}

// fromImage answers a read from what was recorded; what was not is an illegal data
// address, what is no read an illegal function.
func (p *Replay) fromImage(unit byte, pdu []byte) []byte {
	if len(pdu) != 5 || pdu[0] < 1 || pdu[0] > 4 {
		return []byte{pdu[0] | 0x80, 1}
	}
	at, count := binary.BigEndian.Uint16(pdu[1:]), int(binary.BigEndian.Uint16(pdu[3:]))
	size := 2 * count
	if pdu[0] <= 2 {
		size = (count + 7) / 8
	}
	if size > 250 {
		return []byte{pdu[0] | 0x80, 3}
	}
	answer := append([]byte{pdu[0], byte(size)}, make([]byte, size)...)
	for i := range count {
		v, known := p.image[spot{unit, pdu[0], at + uint16(i)}]
		switch {
		case !known:
			return []byte{pdu[0] | 0x80, 2}
		case pdu[0] <= 2:
			answer[2+i/8] |= byte(v << (i % 8))
		default:
			binary.BigEndian.PutUint16(answer[2+2*i:], v)
		}
	}
	return answer
}
