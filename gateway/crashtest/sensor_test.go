//go:build linux

package crashtest

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"fieldbridge/pause"
)

// sensor is an MQTT 3.1.1 client with QoS 1 that keeps its session: it publishes
// 0, 1, 2 ... and, after a broken connection, first what was not acknowledged. It
// outlives the gateway and remembers what was acknowledged.
type sensor struct {
	name, broker string

	mu     sync.Mutex
	paused bool // guarded by mu
	sent   int  // guarded by mu; so many, the first ones
	acked  int  // guarded by mu; so many, the first ones
	wrong  int  // guarded by mu; acknowledgements that were not next
	turns  int  // guarded by mu; so often it wanted to send, whether its window let it or not

	published []time.Time   // guarded by mu; of those without an acknowledgement
	slowest   time.Duration // guarded by mu; from the first publish to the acknowledgement
}

const (
	sensorEvery  = 15 * time.Millisecond
	sensorWindow = 20 // messages without an acknowledgement
)

func startSensor(t *testing.T, name, broker string) *sensor {
	s := &sensor{name: name, broker: broker}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			s.session(ctx)
			pause.Sleep(ctx, 20*time.Millisecond)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if s.wrong > 0 {
			t.Errorf("%s: %d acknowledgements out of order", name, s.wrong)
		}
	})
	return s
}

func (s *sensor) pause(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = on
}

func (s *sensor) counts() (sent, acked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent, s.acked
}

// progress returns how often it wanted to send, and how many messages were acknowledged.
func (s *sensor) progress() (turns, acked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.turns, s.acked
}

// forget returns the slowest acknowledgement since the last call.
func (s *sensor) forget() (slowest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slowest, s.slowest = s.slowest, 0
	return slowest
}

// session is one connection.
func (s *sensor) session(ctx context.Context) {
	conn, err := net.Dial("tcp", s.broker)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	connect := append([]byte{0x10, byte(12 + len(s.name)), 0, 4, 'M', 'Q', 'T', 'T', 4, 0, 0, 60, 0, byte(len(s.name))},
		s.name...)
	in := bufio.NewReader(conn)
	if _, err := conn.Write(connect); err != nil {
		return
	}
	if _, err := io.ReadFull(in, make([]byte, 4)); err != nil {
		return
	}
	next, end := s.waiting()
	for value := next; value < end; value++ {
		if s.publish(conn, value, 8) != nil {
			return
		}
	}
	broken := make(chan struct{})
	go func() {
		defer close(broken)
		s.read(in)
		_ = conn.Close()
	}()
	defer func() { _ = conn.Close(); <-broken }()
	tick := time.NewTicker(sensorEvery)
	defer tick.Stop()
	for {
		select {
		case <-broken:
			return
		case <-tick.C:
			if value, ok := s.next(); ok && s.publish(conn, value, 0) != nil {
				return
			}
		}
	}
}

// waiting returns which messages have no acknowledgement.
func (s *sensor) waiting() (from, to int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked, s.sent
}

func (s *sensor) next() (value int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns++
	if s.paused || s.sent-s.acked >= sensorWindow {
		return 0, false
	}
	s.sent++
	s.published = append(s.published, time.Now())
	return s.sent - 1, true
}

func packetID(value int) uint16 { return uint16(value%65535 + 1) }

func (s *sensor) publish(conn net.Conn, value int, dup byte) error {
	topic, text := "hall/"+s.name+"/temperature", strconv.Itoa(value)
	packet := append([]byte{0x32 | dup, byte(4 + len(topic) + len(text)), 0, byte(len(topic))}, topic...)
	packet = binary.BigEndian.AppendUint16(packet, packetID(value))
	_, err := conn.Write(append(packet, text...))
	return err
}

// read takes acknowledgements until the connection breaks.
func (s *sensor) read(in io.Reader) {
	for packet := make([]byte, 4); ; {
		if _, err := io.ReadFull(in, packet); err != nil {
			return
		}
		s.mu.Lock()
		right := packet[0] == 0x40 && s.acked < s.sent && binary.BigEndian.Uint16(packet[2:]) == packetID(s.acked)
		if right {
			s.acked++
			s.slowest = max(s.slowest, time.Since(s.published[0]))
			s.published = s.published[1:]
		} else {
			s.wrong++ // MQTT-4.6.0-2
		}
		s.mu.Unlock()
		if !right {
			return
		}
	}
}
