package mqtt

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/inlet"
)

// siteBroker is a real mosquitto.
type siteBroker struct {
	t      *testing.T
	addr   string
	config string
	cmd    *exec.Cmd
}

// startMosquitto starts a mosquitto with settings beside its listener, on a
// port that was free a moment ago.
func startMosquitto(t *testing.T, settings ...string) *siteBroker {
	t.Helper()
	program := need(t, "mosquitto")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	_ = l.Close()
	dir := t.TempDir()
	b := &siteBroker{t: t, addr: addr.String(), config: filepath.Join(dir, "mosquitto.conf")}
	lines := append([]string{fmt.Sprintf("listener %d 127.0.0.1", addr.Port), "persistence true", "persistence_location " + dir + "/",
		"max_queued_messages 10000"}, settings...)
	if len(settings) == 0 {
		lines = append(lines, "allow_anonymous true")
	}
	if os.Geteuid() == 0 {
		lines = append(lines, "user root")
	}
	if err := os.WriteFile(b.config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start(program)
	t.Cleanup(func() { b.stop() })
	return b
}

func (b *siteBroker) start(program string) {
	b.t.Helper()
	b.cmd = exec.Command(program, "-c", b.config)
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	until(b.t, "mosquitto listens", func() bool {
		c, err := net.Dial("tcp", b.addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (b *siteBroker) stop() {
	if b.cmd != nil {
		_ = b.cmd.Process.Signal(os.Interrupt) // it saves its sessions
		_ = b.cmd.Wait()
		b.cmd = nil
	}
}

func siteConfig(b inlet.Broker, sensors ...Sensor) Config {
	c := Config{Brokers: map[string]inlet.Broker{"site": b}}
	for i, s := range sensors {
		s.Broker = "site"
		c.Sensors = append(c.Sensors, sensor(fmt.Sprint("s", i), s))
	}
	return c
}

func connected(t *testing.T, s *Source) {
	t.Helper()
	until(t, "connected to the site broker", func() bool { return metric(s, "fieldbridge_mqtt_connected") == 1 })
}

func TestSite(t *testing.T) {
	b := startMosquitto(t)
	mosquitto(t, "mosquitto_pub", b.addr, "-q", "1", "-r", "-t", "w/old/p", "-m", "1")
	r := newRecorder()
	cfg := siteConfig(inlet.Broker{URL: "mqtt://" + b.addr}, Sensor{Topic: "w/{device}/{point}"})
	s, err := New(cfg, Options{Gateway: "g"})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s, r.emit)
	connected(t, s)
	same(t, "retained", values(r.wait(t, 1)), []string{"old.p=1"}) // the subscription is new
	for _, qos := range []string{"0", "1", "2"} {
		mosquitto(t, "mosquitto_pub", b.addr, "-q", qos, "-t", "w/a/p", "-m", qos)
	}
	same(t, "readings", values(r.wait(t, 4)[1:]), []string{"a.p=0", "a.p=1", "a.p=2"})

	// What is published while the gateway is away comes when it is back, and
	// what is retained does not come again.
	stop()
	mosquitto(t, "mosquitto_pub", b.addr, "-q", "1", "-t", "w/a/p", "-m", "5")
	stop = run(t, s, r.emit)
	same(t, "readings", values(r.wait(t, 5)[4:]), []string{"a.p=5"})

	// The broker is restarted.
	b.stop()
	until(t, "the loss is noticed", func() bool { return len(s.Health()) == 1 })
	b.start(need(t, "mosquitto"))
	connected(t, s)
	mosquitto(t, "mosquitto_pub", b.addr, "-q", "1", "-t", "w/a/p", "-m", "6")
	until(t, "the last reading", func() bool { // the one before may come again: its PUBACK was on the way
		r.mu.Lock()
		defer r.mu.Unlock()
		return values(r.batches[len(r.batches)-1:])[0] == "a.p=6"
	})
	if h := s.Health(); len(h) != 0 {
		t.Errorf("health: %v", h)
	}
	stop()
}

// What was not safe when the connection ended is sent again.
func TestSiteUnsafeComesAgain(t *testing.T) {
	b := startMosquitto(t)
	r := newRecorder()
	r.hold = true
	s, err := New(siteConfig(inlet.Broker{URL: "mqtt://" + b.addr}, Sensor{Topic: "w/{device}/{point}", QoS: new(2)}), Options{Gateway: "g"})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s, r.emit)
	connected(t, s)
	for i, qos := range []string{"1", "2", "1", "2", "1"} {
		mosquitto(t, "mosquitto_pub", b.addr, "-q", qos, "-t", "w/a/p", "-m", fmt.Sprint(i))
	}
	r.wait(t, 5)
	safe := r.take()
	safe[3](nil)
	safe[1](nil)
	safe[0](nil)
	until(t, "two are acknowledged", func() bool { return metric(s, "fieldbridge_mqtt_unacknowledged") == 3 })
	stop()
	run(t, s, r.emit)
	same(t, "sent again", values(r.wait(t, 8)[5:]), []string{"a.p=2", "a.p=3", "a.p=4"})
}

// A refused message stays at the broker, and comes again.
func TestSiteRefused(t *testing.T) {
	b := startMosquitto(t)
	r := newRecorder()
	r.fail = bridge.ErrFull
	s := start(t, siteConfig(inlet.Broker{URL: "mqtt://" + b.addr}, Sensor{Topic: "w/{device}/{point}"}), Options{Gateway: "g"}, r.emit)
	connected(t, s)
	mosquitto(t, "mosquitto_pub", b.addr, "-q", "1", "-t", "w/a/p", "-m", "1")
	until(t, "the refusal", func() bool { return metric(s, "fieldbridge_mqtt_refused_total") == 1 })
	r.mu.Lock()
	r.fail = nil
	r.mu.Unlock()
	same(t, "readings", values(r.wait(t, 2)), []string{"a.p=1", "a.p=1"})
	same(t, "refusals", metric(s, "fieldbridge_mqtt_refused_total"), 1.0)
}

// memory is a [bridge.State].
type memory struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (m *memory) Get(key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.m[key], nil
}

func (m *memory) Put(key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m == nil {
		m.m = make(map[string][]byte)
	}
	m.m[key] = value
	return nil
}

// stuckDisk is a [bridge.State] whose Put waits until it is closed.
type stuckDisk struct {
	memory
	free chan struct{}
}

func (d *stuckDisk) Put(key string, value []byte) error {
	<-d.free
	return d.memory.Put(key, value)
}

// A disk that takes no subscriptions stops no connection, nor the next one; they
// are remembered when it does.
func TestSiteStuckDisk(t *testing.T) {
	b := startMosquitto(t)
	r := newRecorder()
	disk := &stuckDisk{free: make(chan struct{})}
	free := sync.OnceFunc(func() { close(disk.free) })
	s, err := New(siteConfig(inlet.Broker{URL: "mqtt://" + b.addr}, Sensor{Topic: "w/{device}/{point}"}),
		Options{Gateway: "g", State: disk})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s, r.emit)
	t.Cleanup(free)
	connected(t, s)
	b.stop()
	until(t, "the loss is noticed", func() bool { return len(s.Health()) == 1 })
	b.start(need(t, "mosquitto"))
	connected(t, s)
	mosquitto(t, "mosquitto_pub", b.addr, "-q", "1", "-t", "w/a/p", "-m", "1")
	same(t, "readings", values(r.wait(t, 1)), []string{"a.p=1"})
	free()
	stop()
	kept, err := disk.Get("mqtt.subscriptions.73697465")
	if err != nil || string(kept) != `{"w/+/+":1}` {
		t.Errorf("remembered %q, %v", kept, err)
	}
}

// Rules that change, while running or between runs, change the subscriptions,
// also those that the broker kept.
func TestSiteSubscriptionsFollowRules(t *testing.T) {
	b := startMosquitto(t)
	r := newRecorder()
	state := &memory{}
	config := func(topics ...string) Config {
		var sensors []Sensor
		for _, topic := range topics {
			sensors = append(sensors, Sensor{Topic: topic})
		}
		return siteConfig(inlet.Broker{URL: "mqtt://" + b.addr}, sensors...)
	}
	s, err := New(config("a/{device}/{point}"), Options{Gateway: "g", State: state})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s, r.emit)
	connected(t, s)
	if err := s.Apply(config("b/{device}/{point}", "c/{device}/{point}")); err != nil {
		t.Fatal(err)
	}
	publish := func(topic string) { mosquitto(t, "mosquitto_pub", b.addr, "-q", "1", "-t", topic+"/d/p", "-m", "1") }
	until(t, "the new subscription", func() bool {
		publish("b")
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.batches) > 0
	})
	publish("a")
	stop()
	received := metric(s, "fieldbridge_mqtt_messages_total")

	s, err = New(config("c/{device}/{point}"), Options{Gateway: "g", State: state})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, r.emit)
	connected(t, s)
	publish("a")
	publish("b")
	publish("c")
	until(t, "the last message", func() bool { return metric(s, "fieldbridge_mqtt_messages_total") > 0 })
	if got := metric(s, "fieldbridge_mqtt_unmatched_total"); got != 0 {
		t.Errorf("%v messages (of %v) came under a subscription that nobody wants", got, received)
	}
}

func TestSitePassword(t *testing.T) {
	dir := t.TempDir()
	passwords, secret := filepath.Join(dir, "passwords"), filepath.Join(dir, "secret")
	if out, err := exec.Command(need(t, "mosquitto_passwd"), "-b", "-c", passwords, "bridge", "s3cret").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b := startMosquitto(t, "password_file "+passwords, "allow_anonymous false")
	broker := inlet.Broker{URL: "mqtt://" + b.addr, Username: "bridge", PasswordFile: "missing"}
	s := start(t, siteConfig(broker, Sensor{Topic: "w/{device}/{point}"}), Options{Gateway: "g"}, newRecorder().emit)
	until(t, "the refusal", func() bool {
		h := s.Health()
		return len(h) == 1 && strings.Contains(h[0].Text, "username and password_file") && strings.Contains(h[0].Text, "no such file")
	})
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A change of the broker connects anew.
	if err := s.Apply(siteConfig(inlet.Broker{URL: broker.URL, Username: "bridge", PasswordFile: setting.Path(secret)}, Sensor{Topic: "w/{device}/{point}"})); err != nil {
		t.Fatal(err)
	}
	connected(t, s)
}

// Two gateways with one client id are told apart from a bad network, if the
// broker says so: mosquitto 2.0 does not, ours does.
func TestSiteTakenOver(t *testing.T) {
	broker := start(t, embeddedConfig(anyReading()), Options{}, newRecorder().emit)
	addr := address(t, broker)
	s := start(t, siteConfig(inlet.Broker{URL: "mqtt://" + addr, ClientID: "same"}, Sensor{Topic: "w/{device}/{point}"}), Options{Gateway: "g"}, newRecorder().emit)
	connected(t, s)
	until(t, "the explanation", func() bool {
		h := s.Health()
		if len(h) == 0 {
			// Connected. What we send while the other comes makes TCP throw away
			// what the broker said, so one time may not be enough.
			dialRaw(t, addr, 5, "same")
		}
		return len(h) == 1 && strings.Contains(h[0].Text, "give each gateway its own client_id")
	})
}
