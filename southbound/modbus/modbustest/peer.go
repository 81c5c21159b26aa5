package modbustest

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// peer is one connection.
type peer struct {
	sim    *Simulator
	conn   net.Conn
	frozen <-chan struct{}
	r      *bufio.Reader
	pdu    []byte // the request's
	out    []byte // the answer's PDU
	frame  []byte // the answer
	later  sync.WaitGroup
}

func (c *peer) serve(ctx context.Context) {
	c.r = bufio.NewReaderSize(c.conn, 512)
	defer c.later.Wait()
	for ctx.Err() == nil {
		transaction, unit, err := c.read()
		if err != nil {
			return
		}
		select {
		case <-c.frozen:
			<-ctx.Done()
			return
		default:
		}
		if unit == 0 && c.sim.Framing != TCP {
			c.broadcast()
			continue
		}
		u := c.sim.find(unit)
		if u == nil {
			continue
		}
		a := Answer{Transaction: transaction, Unit: unit, Copies: 1, Delay: c.sim.Latency}
		pdu, r, behaviours := u.answer(unit, c.pdu, c.out[:0])
		a.PDU, c.out = pdu, pdu
		for _, b := range behaviours {
			b(r, &a)
		}
		if c.sim.Parallel {
			c.sendLater(ctx, a)
			continue
		}
		if !c.send(ctx, &a) {
			return
		}
	}
}

// broadcast has all units do what was asked of unit 0 on a line; none answers.
func (c *peer) broadcast() {
	for _, u := range c.sim.all() {
		c.out, _, _ = u.answer(0, c.pdu, c.out[:0])
	}
}

// sendLater sends an answer when its time has come, and lets others go before.
func (c *peer) sendLater(ctx context.Context, a Answer) {
	a.PDU = append([]byte(nil), a.PDU...)
	own := &peer{sim: c.sim, conn: c.conn}
	c.later.Go(func() {
		if !own.send(ctx, &a) {
			_ = c.conn.Close()
		}
	})
}

// send sends an answer and reports whether the connection goes on.
func (c *peer) send(ctx context.Context, a *Answer) bool {
	if a.Delay > 0 && !wait(ctx, a.Delay) {
		return false
	}
	for a.Garbage {
		noise := make([]byte, 64)
		for i := range noise {
			noise[i] = byte(rand.Uint32())
		}
		if _, err := c.conn.Write(noise); err != nil || !wait(ctx, time.Millisecond) {
			return false
		}
	}
	if c.sim.Framing == UDP {
		return c.sendDatagrams(ctx, a)
	}
	c.frame = c.frame[:0]
	if a.Echo {
		c.frame = c.sim.Framing.append(c.frame, &Answer{Unit: a.Unit, PDU: c.pdu})
	}
	c.frame = append(c.frame, a.Before...)
	for range a.Copies {
		c.frame = c.sim.Framing.append(c.frame, a)
	}
	c.frame = append(c.frame, a.After...)
	if a.Cut > 0 {
		c.frame = c.frame[:min(a.Cut, len(c.frame))]
	}
	if !c.write(ctx, a) {
		return false
	}
	if tcp, ok := c.conn.(*net.TCPConn); ok && a.Reset {
		_ = tcp.SetLinger(0)
	}
	return !a.Close && !a.Reset
}

// sendDatagrams sends what comes before the answer, the answer and what comes
// after it in a datagram each.
func (c *peer) sendDatagrams(ctx context.Context, a *Answer) bool {
	frame := c.sim.Framing.append(nil, a)
	if a.Cut > 0 {
		frame = frame[:min(a.Cut, len(frame))]
	}
	all := [][]byte{a.Before}
	for range a.Copies {
		all = append(all, frame)
	}
	for i, b := range append(all, a.After) {
		if i > 1 && len(b) > 0 && a.Gap > 0 && !wait(ctx, a.Gap) {
			return false
		}
		if len(b) == 0 {
			continue
		}
		if _, err := c.conn.Write(b); err != nil {
			return false
		}
	}
	return true
}

func (c *peer) write(ctx context.Context, a *Answer) bool {
	if len(c.frame) == 0 {
		return true
	}
	step := len(c.frame)
	switch {
	case a.ByteByByte:
		step = 1
	case a.Gap > 0:
		step = (step + 1) / 2
	}
	for rest := c.frame; len(rest) > 0; {
		n := min(step, len(rest))
		if _, err := c.conn.Write(rest[:n]); err != nil {
			return false
		}
		if rest = rest[n:]; len(rest) > 0 && a.Gap > 0 && !wait(ctx, a.Gap) {
			return false
		}
	}
	return true
}

func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
