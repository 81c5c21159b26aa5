package mqtt

import (
	"io"
	"net"
	"sync"
	"testing"

	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

// S01: of rules whose filters lie in one another each message is one reading, by the
// rule that stands first.
func TestCaseS01(t *testing.T) {
	b := rig.StartMosquitto(t)
	r := newRecorder()
	s := start(t, siteConfig(inlet.Broker{URL: inlet.Addresses{"mqtt://" + b.Addr}},
		Sensor{Topic: "plant/boiler/v", Device: "boiler", Point: "first"}, Sensor{Topic: "plant/{device}/v", Point: "second"},
		Sensor{Topic: "plant/#", Device: "rest", Point: "third"}), Options{Gateway: "g"}, r.emit)
	connected(t, s)
	for _, topic := range []string{"plant/boiler/v", "plant/oven/v", "plant/x", "plant/end"} {
		rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", topic, "-m", "1")
	}
	rig.Same(t, "readings", values(r.wait(t, 4)), []string{"boiler.first=1", "oven.second=1", "rest.third=1",
		"rest.third=1"})
}

// S04: a broker that has lost its sessions is subscribed to again.
func TestCaseS04(t *testing.T) {
	b := rig.StartMosquitto(t)
	r := newRecorder()
	s := start(t, siteConfig(inlet.Broker{URL: inlet.Addresses{"mqtt://" + b.Addr}}, Sensor{Topic: "w/{device}/{point}"}),
		Options{Gateway: "g", State: &rig.Memory{}}, r.emit)
	connected(t, s)
	b.Stop()
	b.Forget()
	rig.Until(t, "the loss is noticed", func() bool { return metric(s, "fieldbridge_mqtt_connected") == 0 })
	b.Start()
	connected(t, s)
	rig.Until(t, "the subscription is granted again",
		func() bool { return s.Listing().Rules[0].Subscription == "granted" })
	rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "w/a/p", "-m", "6")
	rig.Same(t, "readings", values(r.wait(t, 1)), []string{"a.p=6"})
}

// S05: a gateway that is killed says no goodbye; what is published with QoS 1 and 2 while
// it is away comes when it is back, what was sent with QoS 0 does not.
func TestCaseS05(t *testing.T) {
	b := rig.StartMosquitto(t)
	cable := newCable(t, b.Addr)
	r := newRecorder()
	cfg := siteConfig(inlet.Broker{URL: inlet.Addresses{"mqtt://" + cable.addr}}, Sensor{Topic: "w/{device}/{point}"})
	state := &rig.Memory{}
	s, err := New(cfg, Options{Gateway: "g", State: state})
	if err != nil {
		t.Fatal(err)
	}
	kill := run(t, s, r.emit)
	connected(t, s)
	rig.Until(t, "subscribed", func() bool { return s.Listing().Rules[0].Subscription == "granted" })
	cable.cut()
	kill()
	for qos, topic := range map[string]string{"0": "w/a/zero", "1": "w/a/one", "2": "w/a/two"} {
		rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", qos, "-t", topic, "-m", qos)
	}
	cable.mend()
	again, err := New(cfg, Options{Gateway: "g", State: state})
	if err != nil {
		t.Fatal(err)
	}
	run(t, again, r.emit)
	connected(t, again)
	rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "w/a/end", "-m", "9")
	got := make(map[string]bool)
	for _, v := range values(r.wait(t, 3)) {
		got[v] = true
	}
	rig.Same(t, "readings", got, map[string]bool{"a.one=1": true, "a.two=2": true, "a.end=9": true})
}

// cable is what lies between a client and its broker.
type cable struct {
	addr string
	to   string
	wg   sync.WaitGroup

	mu    sync.Mutex
	is    bool       // guarded by mu; cut
	conns []net.Conn // guarded by mu
}

func newCable(t *testing.T, to string) *cable {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{addr: l.Addr().String(), to: to}
	c.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.carry(conn)
		}
	})
	t.Cleanup(func() { _ = l.Close(); c.cut(); c.wg.Wait() })
	return c
}

func (c *cable) carry(in net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out, err := net.Dial("tcp", c.to)
	if c.is || err != nil {
		_ = in.Close()
		if err == nil {
			_ = out.Close()
		}
		return
	}
	c.conns = append(c.conns, in, out)
	for from, to := range map[net.Conn]net.Conn{in: out, out: in} {
		c.wg.Go(func() { _, _ = io.Copy(to, from); _ = to.Close() })
	}
}

// cut breaks all connections, and takes no more until mend.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.is = true
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.is = false
}
