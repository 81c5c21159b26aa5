package modbustest

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
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

// read reads one request.
func (c *peer) read() (transaction uint16, unit byte, err error) {
	if c.sim.Framing == RTU {
		unit, err = c.readRTU()
		return 0, unit, err
	}
	var header [7]byte
	if _, err := io.ReadFull(c.r, header[:]); err != nil {
		return 0, 0, err
	}
	n := int(binary.BigEndian.Uint16(header[4:])) - 1
	if n < 1 || n > 253 || binary.BigEndian.Uint16(header[2:]) != 0 {
		return 0, 0, io.ErrUnexpectedEOF
	}
	c.pdu = append(c.pdu[:0], make([]byte, n)...)
	_, err = io.ReadFull(c.r, c.pdu)
	return binary.BigEndian.Uint16(header[:]), header[6], err
}

// readRTU reads a frame by its structure and drops what has a wrong CRC.
func (c *peer) readRTU() (byte, error) {
	for {
		head, err := c.r.Peek(2)
		if err != nil {
			return 0, err
		}
		n := 8
		switch head[1] {
		case 15, 16:
			if head, err = c.r.Peek(7); err != nil {
				return 0, err
			}
			n = 9 + int(head[6])
		case 22:
			n = 10
		case 43:
			n = 7
		case 17:
			n = 4
		}
		frame, err := c.r.Peek(n)
		if err != nil {
			return 0, err
		}
		if crc(frame[:n-2]) != binary.LittleEndian.Uint16(frame[n-2:]) {
			_, _ = c.r.Discard(1)
			continue
		}
		unit := frame[0]
		c.pdu = append(c.pdu[:0], frame[1:n-2]...)
		_, _ = c.r.Discard(n)
		return unit, nil
	}
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

// append frames an answer.
func (f Framing) append(b []byte, a *Answer) []byte {
	if f == RTU {
		start := len(b)
		b = append(append(b, a.Unit), a.PDU...)
		sum := crc(b[start:])
		if a.CRCError {
			sum++
		}
		return binary.LittleEndian.AppendUint16(b, sum)
	}
	b = binary.BigEndian.AppendUint16(b, a.Transaction)
	b = binary.BigEndian.AppendUint16(b, a.Protocol)
	b = binary.BigEndian.AppendUint16(b, uint16(len(a.PDU)+1+a.LengthError))
	return append(append(b, a.Unit), a.PDU...)
}

// crc is CRC-16/MODBUS (Modbus over Serial Line V1.02, section 6.2.2).
func crc(data []byte) uint16 {
	sum := uint16(0xffff)
	for _, b := range data {
		sum ^= uint16(b)
		for range 8 {
			low := sum & 1
			sum >>= 1
			if low != 0 {
				sum ^= 0xa001
			}
		}
	}
	return sum
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
