package site

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// What was not safe when the connection ended is sent again.
func TestUnsafeComesAgain(t *testing.T) {
	b := rig.StartMosquitto(t)
	r := &recorder{}
	r.hold = true
	s := client("mqtt://"+b.Addr, nil, "w/+/+")
	stop := run(t, s, r.ingest)
	connected(t, s)
	for i, qos := range []string{"1", "2", "1", "2", "1"} {
		rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", qos, "-t", "w/a/p", "-m", fmt.Sprint(i))
	}
	r.wait(t, 5)
	safe := r.take()
	safe[3](nil)
	safe[1](nil)
	safe[0](nil)
	rig.Until(t, "two are acknowledged", func() bool { return s.Counts().Unacknowledged == 3 })
	stop()
	run(t, s, r.ingest)
	rig.Same(t, "sent again", r.wait(t, 8)[5:], []string{"w/a/p=2", "w/a/p=3", "w/a/p=4"})
}

// A refused message stays at the broker, and comes again.
func TestRefused(t *testing.T) {
	b := rig.StartMosquitto(t)
	r := &recorder{}
	r.fail = bridge.ErrFull
	s := client("mqtt://"+b.Addr, nil, "w/+/+")
	run(t, s, r.ingest)
	connected(t, s)
	rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "w/a/p", "-m", "1")
	rig.Until(t, "the refusal", func() bool { return s.Counts().Refused >= 1 }) // it may have come again already
	r.mu.Lock()
	r.fail = nil
	r.mu.Unlock()
	rig.Until(t, "it is taken", func() bool {
		c := s.Counts()
		r.mu.Lock()
		defer r.mu.Unlock()
		return c.Connected && c.Unacknowledged == 0 && uint64(len(r.heard)) > c.Refused
	})
	rig.Same(t, "all but one are refused", s.Counts().Refused, uint64(len(r.heard)-1))
	for _, v := range r.heard {
		rig.Same(t, "reading", v, "w/a/p=1")
	}
}

// stuckDisk is a [bridge.State] whose Put waits until it is closed.
type stuckDisk struct {
	rig.Memory
	free chan struct{}
}

func (d *stuckDisk) Put(key string, value []byte) error {
	<-d.free
	return d.Memory.Put(key, value)
}

// A disk that takes no subscriptions stops no connection, nor the next one; they
// are remembered when it does.
func TestStuckDisk(t *testing.T) {
	b := rig.StartMosquitto(t)
	r := &recorder{}
	disk := &stuckDisk{free: make(chan struct{})}
	free := sync.OnceFunc(func() { close(disk.free) })
	s := client("mqtt://"+b.Addr, disk, "w/+/+")
	stop := run(t, s, r.ingest)
	t.Cleanup(free)
	connected(t, s)
	b.Stop()
	rig.Until(t, "the loss is noticed", func() bool { return len(s.Health()) == 1 })
	b.Start()
	connected(t, s)
	rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "w/a/p", "-m", "1")
	rig.Same(t, "readings", r.wait(t, 1), []string{"w/a/p=1"})
	free()
	stop()
	kept, err := disk.Get("mqtt.subscriptions.73697465")
	if err != nil || string(kept) != `{"w/+/+":2}` {
		t.Errorf("remembered %q, %v", kept, err)
	}
}

// TestGuest: a guest takes nobody's place, hears what comes, publishes nothing and
// leaves no session behind, with MQTT 5 and 3.1.1.
func TestGuest(t *testing.T) {
	for name, old := range map[string]bool{"5": false, "3.1.1": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := rig.StartMosquitto(t)
			r, overheard := &recorder{}, &recorder{fail: bridge.ErrFull}
			s := client("mqtt://"+b.Addr, nil, "w/+/+")
			run(t, s, r.ingest)
			connected(t, s)
			g := Guest("site", inlet.Broker{URL: inlet.Addresses{"mqtt://" + b.Addr}}, "g", slog.New(slog.DiscardHandler))
			g.old[0].Store(old)
			g.Want(wanted("w/+/+"))
			stop := run(t, g, overheard.ingest)
			connected(t, g)
			g.Publish("w/a/guest", []byte("1"))
			rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "w/a/p", "-m", "1")
			rig.Same(t, "overheard", overheard.wait(t, 1), []string{"w/a/p=1"})
			rig.Same(t, "readings", r.wait(t, 1), []string{"w/a/p=1"})
			stop()
			rig.Same(t, "connected", s.Counts().Connected, true)
			again := rig.Open(t, b.Addr, 4)
			again.Connect(g.id, 0)
			if kind, body := again.Read(); kind != 0x20 || body[0] != 0 || body[1] != 0 {
				t.Errorf("a session is left: CONNACK %#x %x", kind, body)
			}
		})
	}
}

// A client that has just begun to connect is no condition; one that still tries is.
func TestStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := configured(inlet.Broker{URL: inlet.Addresses{"mqtt://127.0.0.1:1"}}, "w/+/+")
		if h := c.Health(); len(h) > 0 {
			t.Errorf("at once: %v", h)
		}
		time.Sleep(startingFor)
		if h := c.Health(); len(h) != 1 || !strings.Contains(h[0].Text, "not connected yet") {
			t.Errorf("later: %v", h)
		}
	})
}

// TestRefusedIsToldPlainly: a broker that is not there is told in plain words, with what
// to do, and with its address once.
func TestRefusedIsToldPlainly(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	_ = l.Close() // nobody listens there now
	c := configured(inlet.Broker{URL: inlet.Addresses{"mqtt://" + at}}, "w/+/+")
	run(t, c, (&recorder{}).ingest)
	want := "connect to mqtt://" + at + ": connection refused: nothing listens there, check that it is on, and the port"
	rig.Until(t, "it is told", func() bool {
		h := c.Health()
		return len(h) == 1 && h[0].Text == want
	})
}
