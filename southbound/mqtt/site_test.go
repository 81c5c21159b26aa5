package mqtt

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

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
	rig.Until(t, "connected to the site broker", func() bool { return metric(s, "fieldbridge_mqtt_connected") == 1 })
}

func TestSite(t *testing.T) {
	b := rig.StartMosquitto(t)
	rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-r", "-t", "w/old/p", "-m", "1")
	r := newRecorder()
	cfg := siteConfig(inlet.Broker{URL: inlet.Addresses{"mqtt://" + b.Addr}}, Sensor{Topic: "w/{device}/{point}"})
	s, err := New(cfg, Options{Gateway: "g"})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s, r.emit)
	connected(t, s)
	rig.Same(t, "retained", values(r.wait(t, 1)), []string{"old.p=1"}) // the subscription is new
	for _, qos := range []string{"0", "1", "2"} {
		rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", qos, "-t", "w/a/p", "-m", qos)
	}
	rig.Same(t, "readings", values(r.wait(t, 4)[1:]), []string{"a.p=0", "a.p=1", "a.p=2"})

	// What is published while the gateway is away comes when it is back, and
	// what is retained does not come again.
	stop()
	rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "w/a/p", "-m", "5")
	stop = run(t, s, r.emit)
	rig.Same(t, "readings", values(r.wait(t, 5)[4:]), []string{"a.p=5"})

	// The broker is restarted.
	b.Stop()
	rig.Until(t, "the loss is noticed", func() bool { return len(s.Health()) == 1 })
	b.Start()
	connected(t, s)
	rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "w/a/p", "-m", "6")
	rig.Until(t, "the last reading", func() bool { // the one before may come again: its PUBACK was on the way
		r.mu.Lock()
		defer r.mu.Unlock()
		return values(r.batches[len(r.batches)-1:])[0] == "a.p=6"
	})
	if h := s.Health(); len(h) != 0 {
		t.Errorf("health: %v", h)
	}
	stop()
}

// Rules that change, while running or between runs, change the subscriptions,
// also those that the broker kept.
func TestSiteSubscriptionsFollowRules(t *testing.T) {
	b := rig.StartMosquitto(t)
	r := newRecorder()
	state := &rig.Memory{}
	config := func(topics ...string) Config {
		var sensors []Sensor
		for _, topic := range topics {
			sensors = append(sensors, Sensor{Topic: topic})
		}
		return siteConfig(inlet.Broker{URL: inlet.Addresses{"mqtt://" + b.Addr}}, sensors...)
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
	publish := func(topic string) {
		rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", topic+"/d/"+topic, "-m", "1")
	}
	rig.Until(t, "the new subscription", func() bool {
		publish("b")
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.batches) > 0
	})
	publish("a")
	publish("c") // when it is here, so is all that was published before
	rig.Until(t, "the one after them", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return values(r.batches[len(r.batches)-1:])[0] == "d.c=1"
	})
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
	rig.Until(t, "the last message", func() bool { return metric(s, "fieldbridge_mqtt_messages_total") > 0 })
	if got := metric(s, "fieldbridge_mqtt_unmatched_total"); got != 0 {
		t.Errorf("%v messages (of %v) came under a subscription that nobody wants", got, received)
	}
}

func TestSitePassword(t *testing.T) {
	dir := t.TempDir()
	passwords, secret := filepath.Join(dir, "passwords"), filepath.Join(dir, "secret")
	create := exec.Command(rig.Need(t, "mosquitto_passwd"), "-b", "-c", passwords, "bridge", "s3cret")
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b := rig.StartMosquitto(t, "password_file "+passwords, "allow_anonymous false")
	broker := inlet.Broker{URL: inlet.Addresses{"mqtt://" + b.Addr}, Username: "bridge", PasswordFile: "missing"}
	s := start(t, siteConfig(broker, Sensor{Topic: "w/{device}/{point}"}), Options{Gateway: "g"}, newRecorder().emit)
	rig.Until(t, "the refusal", func() bool {
		h := s.Health()
		return len(h) == 1 && strings.Contains(h[0].Text, "username and password_file") &&
			strings.Contains(h[0].Text, "no such file")
	})
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A change of the broker connects anew.
	broker.PasswordFile = setting.Path(secret)
	if err := s.Apply(siteConfig(broker, Sensor{Topic: "w/{device}/{point}"})); err != nil {
		t.Fatal(err)
	}
	connected(t, s)
}

// Two gateways with one client id are told apart from a bad network, if the
// broker says so: mosquitto 2.0 does not, ours does.
func TestSiteTakenOver(t *testing.T) {
	broker := start(t, embeddedConfig(anyReading()), Options{}, newRecorder().emit)
	addr := address(t, broker)
	cfg := siteConfig(inlet.Broker{URL: inlet.Addresses{"mqtt://" + addr}, ClientID: "same"},
		Sensor{Topic: "w/{device}/{point}"})
	s := start(t, cfg, Options{Gateway: "g"}, newRecorder().emit)
	connected(t, s)
	rig.Until(t, "the explanation", func() bool {
		h := s.Health()
		if len(h) == 0 {
			// Connected. What we send while the other comes makes TCP throw away
			// what the broker said, so one time may not be enough.
			rig.Dial(t, addr, 5, "same")
		}
		return len(h) == 1 && strings.Contains(h[0].Text, "give each gateway its own client_id")
	})
}
