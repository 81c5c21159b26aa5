package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fieldbridge/pause"
)

// TestSensorKills kills the gateway again and again under 2,000 QoS 1 messages a
// second from 200 sensors while the cloud is down. Every message that a sensor
// got acknowledged must be at the cloud afterwards. Each sensor is a client of
// its own; four of them are Python's. FIELDBRIDGE_SOAK makes it 20 kills.
func TestSensorKills(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	if !namespace(t) {
		return
	}
	needPython(t, "paho.mqtt.client")
	kills := 2
	if os.Getenv("FIELDBRIDGE_SOAK") != "" {
		kills = 20
	}
	s := newSite(t)
	s.cloud.signal(syscall.SIGTERM, 10*time.Second)
	gateway := s.startGateway()
	eventually(t, "the gateway's broker listens", 10*time.Second, listening("127.0.0.1:1883"))
	peers := s.startPeers(kills)
	crowd := startCrowd(t, 200-len(peers))
	dead := time.Duration(0)
	for i := range kills {
		before := crowd.acked.Load()
		eventually(t, "sensors are acknowledged", 20*time.Second, func() bool { return crowd.acked.Load() > before+2000 })
		time.Sleep(time.Duration(i*37%400) * time.Millisecond) // at another instant of the commit cycle each time
		killed := time.Now()
		gateway.signal(syscall.SIGKILL, 5*time.Second)
		gateway = s.startGateway()
		eventually(t, "the gateway is back", 10*time.Second, listening("127.0.0.1:1883"))
		dead += time.Since(killed) + 3*time.Second // and what commit_every allows, each time
	}
	s.startCloud()
	acked := crowd.finish(t)
	for name, p := range peers {
		<-p.end
		t.Logf("%s: %s", name, p.out)
		acked = append(acked, readLines(t, filepath.Join(s.dir, name))...)
	}
	eventually(t, "the queue is empty again", 90*time.Second, func() bool {
		m := scrape()
		return m != nil && m["fieldbridge_queue_waiting_readings"] < 100 && m["fieldbridge_queue_backlog_readings"] == 0
	})
	if m := scrape(); !ledgerHolds(m) {
		t.Errorf("the ledger does not hold: %v", m)
	}
	gateway.signal(syscall.SIGTERM, 5*time.Second)
	eventually(t, "the goodbye arrives", 10*time.Second,
		func() bool { return strings.Contains(s.sub.out.String(), `"reason":"stopped"`) })
	s.verify(t, acked, dead)
}

// startPeers starts the sensors that are not of our making, by the name of the
// file in which they note what was acknowledged.
func (s *site) startPeers(kills int) map[string]*process {
	s.t.Helper()
	script, err := filepath.Abs("testdata/sensors.py")
	if err != nil {
		s.t.Fatal(err)
	}
	peers := make(map[string]*process)
	for _, prefix := range []string{"a", "b", "c", "d"} {
		peers["acked-"+prefix] = spawn(s.t, s.dir, python, script, "acked-"+prefix, "1", "10", strconv.Itoa(3*kills), prefix)
	}
	return peers
}

const (
	// sensorEvery is how often a sensor of a crowd publishes.
	sensorEvery = 100 * time.Millisecond
	// sensorWindow is how many messages of a sensor may be unacknowledged;
	// beyond that it publishes nothing new.
	sensorWindow = 10
)

// crowd is many sensors.
type crowd struct {
	acked    atomic.Int64 // messages
	disorder atomic.Int64 // acknowledgements that were not next
	stop     context.CancelFunc
	running  sync.WaitGroup
	sensors  []*patientSensor
}

// patientSensor is an MQTT 3.1.1 client that keeps its session: it publishes
// 0, 1, 2 ... with QoS 1 and, after a broken connection, first what was not
// acknowledged.
type patientSensor struct {
	name    string
	crowd   *crowd
	next    int
	pending []int // not acknowledged, in order
	acked   int   // so many, the first ones
}

func startCrowd(t *testing.T, n int) *crowd {
	c := &crowd{}
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	for i := range n {
		s := &patientSensor{name: "g" + strconv.Itoa(i), crowd: c}
		c.sensors = append(c.sensors, s)
		c.running.Go(func() { s.run(ctx) })
	}
	t.Cleanup(func() { cancel(); c.running.Wait() })
	return c
}

// finish ends the crowd once everything is acknowledged, and returns what was.
func (c *crowd) finish(t *testing.T) (acked []string) {
	c.stop()
	c.running.Wait()
	sent := 0
	for _, s := range c.sensors {
		sent += s.next
		for value := range s.acked {
			acked = append(acked, fmt.Sprintf("%s %d", s.name, value))
		}
	}
	t.Logf("%d sensors sent %d messages, %d unacknowledged", len(c.sensors), sent, sent-len(acked))
	if sent-len(acked) > 0 {
		t.Errorf("%d messages were never acknowledged", sent-len(acked))
	}
	if n := c.disorder.Load(); n > 0 {
		t.Errorf("%d acknowledgements were out of order", n)
	}
	return acked
}

// run publishes until ctx ends, and then waits half a minute for what is not
// acknowledged.
func (s *patientSensor) run(ctx context.Context) {
	end, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(30*time.Second, cancel) })()
	for {
		s.session(ctx, end)
		if ctx.Err() != nil && len(s.pending) == 0 || !pause.Sleep(end, 200*time.Millisecond) {
			return
		}
	}
}

// session is one connection. It ends early only when it breaks.
func (s *patientSensor) session(ctx, end context.Context) {
	conn, err := net.Dial("tcp", "127.0.0.1:1883")
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(end, func() { conn.Close() })()
	id := "crowd-" + s.name
	connect := append([]byte{0x10, byte(12 + len(id)), 0, 4, 'M', 'Q', 'T', 'T', 4, 0, 0, 60, 0, byte(len(id))}, id...)
	in := bufio.NewReader(conn)
	if _, err := conn.Write(connect); err != nil {
		return
	}
	if _, err := io.ReadFull(in, make([]byte, 4)); err != nil {
		return
	}
	for _, value := range s.pending {
		if s.publish(conn, value, 8) != nil { // repeated
			return
		}
	}
	acks, done := make(chan uint16), make(chan struct{})
	defer close(done)
	go func() {
		defer close(acks)
		for packet := make([]byte, 4); ; {
			if _, err := io.ReadFull(in, packet); err != nil {
				return
			}
			select {
			case acks <- binary.BigEndian.Uint16(packet[2:]):
			case <-done:
				return
			}
		}
	}()
	s.converse(ctx, conn, acks)
}

// converse publishes and takes acknowledgements until the connection breaks or
// nothing is left to do.
func (s *patientSensor) converse(ctx context.Context, conn net.Conn, acks <-chan uint16) {
	tick := time.NewTicker(sensorEvery)
	defer tick.Stop()
	for ctx.Err() == nil || len(s.pending) > 0 {
		select {
		case id, ok := <-acks:
			if !ok {
				return
			}
			if len(s.pending) == 0 || id != packetID(s.pending[0]) {
				s.crowd.disorder.Add(1) // MQTT-4.6.0-2
				return
			}
			s.pending = s.pending[1:]
			s.acked++
			s.crowd.acked.Add(1)
		case <-tick.C:
			if ctx.Err() != nil || len(s.pending) >= sensorWindow {
				continue
			}
			s.pending = append(s.pending, s.next)
			s.next++
			if s.publish(conn, s.next-1, 0) != nil {
				return
			}
		}
	}
}

func packetID(value int) uint16 { return uint16(value%65535 + 1) }

func (s *patientSensor) publish(conn net.Conn, value int, dup byte) error {
	topic, text := "hall/"+s.name+"/temperature", strconv.Itoa(value)
	packet := append([]byte{0x32 | dup, byte(4 + len(topic) + len(text)), 0, byte(len(topic))}, topic...)
	packet = binary.BigEndian.AppendUint16(packet, packetID(value))
	_, err := conn.Write(append(packet, text...))
	return err
}
