package broker

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fieldbridge/condition"
	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
	"fieldbridge/southbound/mqtt/trouble"
)

// logged is a log that a test reads while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startLogged is as start, and returns what is logged.
func startLogged(t *testing.T, config inlet.Broker, ingest inlet.Ingest) (*Broker, *logged) {
	t.Helper()
	log := &logged{}
	s, err := New("local", config, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, ingest)
	return s, log
}

// troubleOf waits for a trouble of a kind, and returns it.
func troubleOf(t *testing.T, s *Broker, kind *trouble.Kind, n uint64) (found trouble.Entry) {
	t.Helper()
	rig.Until(t, kind.Code, func() bool {
		for _, e := range s.Trouble() {
			if e.Kind == kind && e.Count >= n {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// conditionOf returns the text of a condition, "" if it is not there.
func conditionOf(s *Broker, kind *condition.Kind) string {
	for _, c := range s.Health() {
		if c.Code == kind.Code {
			return c.Subject + ": " + c.Text
		}
	}
	return ""
}

// has fails unless text has all of parts.
func has(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %q: %s", what, p, text)
		}
	}
}

// A client with a wrong password is in the list from the first time on, and in the
// health from the second, until its password is right.
func TestCaseD8(t *testing.T) {
	s, log := startLogged(t, usersConfig(t), newRecorder().ingest)
	addr := address(t, s)
	message := []string{"-q", "1", "-t", "t/hall/p", "-m", "1", "-i", "lamp", "-u", "hall", "-P"}
	rig.Refused(t, addr, append(message, "wrong")...)
	e := troubleOf(t, s, trouble.Login, 1)
	if e.Client.ID != "lamp" || e.Client.User != "hall" || !strings.Contains(e.Cause, "wrong password") {
		t.Errorf("%+v", e)
	}
	rig.Refused(t, addr, append(message, "wrong")...)
	troubleOf(t, s, trouble.Login, 2)
	has(t, "health", conditionOf(s, condition.ClientRefused), "mqtt local client lamp", `"lamp"`, `"hall"`, "127.0.0.1:",
		"wrong password")
	has(t, "log", log.String(), "client=lamp", "user=hall", "remote=127.0.0.1:", "wrong password")
	rig.Mosquitto(t, "mosquitto_pub", addr, append(message, "s3cret")...)
	if c := conditionOf(s, condition.ClientRefused); c != "" {
		t.Errorf("after it was let in: %s", c)
	}
}

// Each refusal of a CONNECT packet is told, and has the code of its version.
func TestRefusedConnects(t *testing.T) {
	config := usersConfig(t)
	config.MaxClients = 1
	for name, tt := range map[string]struct {
		version, flags byte
		id, rest       string
		first          bool // another is connected
		code           byte
		kind           *trouble.Kind
		cause, advice  string
	}{
		"wrong password, 3.1.1": {4, 0xc2, "lamp", "hall wrong", false, 5, trouble.Login,
			"wrong password", "the password of its user"},
		"wrong password, 5": {5, 0xc2, "lamp", "hall wrong", false, 0x86, trouble.Login,
			"wrong password", "the password of its user"},
		"no user, 3.1.1": {4, 0x02, "lamp", "", false, 5, trouble.Login, "no user name", "anonymous: true"},
		"unknown user": {4, 0xc2, "lamp", "hull s3cret", false, 5, trouble.Login,
			"not in users", "add it to users"},
		"version 6":               {6, 0x02, "lamp", "", false, 0x84, trouble.Protocol, "version 6", "3.1.1"},
		"version 2":               {2, 0x02, "lamp", "", false, 1, trouble.Protocol, "version 2", "3.1.1"},
		"no id to keep a session": {4, 0x00, "", "", false, 2, trouble.Protocol, "no client id", "give it a client id"},
		"full, 3.1.1": {4, 0xc2, "lamp", "hall s3cret", true, 3, trouble.Full,
			"max_clients: 1", "raise max_clients"},
		"full, 5": {5, 0xc2, "lamp", "hall s3cret", true, 0x89, trouble.Full,
			"max_clients: 1", "raise max_clients"},
	} {
		s, _ := startLogged(t, config, newRecorder().ingest)
		addr := address(t, s)
		if tt.first {
			connectAs(t, addr, 4, 0xc2, "first", "hall s3cret")
		}
		_, body := connectAs(t, addr, tt.version, tt.flags, tt.id, tt.rest)
		if len(body) < 2 || body[1] != tt.code {
			t.Errorf("%s: CONNACK %x, want code %#x", name, body, tt.code)
		}
		e := troubleOf(t, s, tt.kind, 1)
		if e.Client.ID != tt.id || !strings.Contains(e.Cause, tt.cause) || !strings.Contains(e.Advice, tt.advice) ||
			!strings.HasPrefix(e.Client.Remote, "127.0.0.1:") {
			t.Errorf("%s: %+v", name, e)
		}
		if n := s.Counts().Denied; n != 1 {
			t.Errorf("%s: %d are counted as denied", name, n)
		}
	}
}

// connectAs sends a CONNECT packet, with user and password if there are any, and
// returns the body of the answer.
func connectAs(t *testing.T, addr string, version, flags byte, id, credentials string) (*rig.Client, []byte) {
	t.Helper()
	c := rig.Open(t, addr, version)
	b := append(rig.String("MQTT"), version, flags, 0, 60)
	if version == 5 {
		b = append(b, 0)
	}
	b = append(b, rig.String(id)...)
	for part := range strings.FieldsSeq(credentials) {
		b = append(b, rig.String(part)...)
	}
	c.Write(0x10, b)
	_, body, _ := c.TryRead()
	return c, body
}

// What is not MQTT is told by its address.
func TestStrangersAreTold(t *testing.T) {
	s, _ := startLogged(t, plain, newRecorder().ingest)
	addr := address(t, s)
	for name, tt := range map[string]struct{ bytes, cause, advice string }{
		"a browser":           {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP or WebSocket", "ws://"},
		"a form":              {"POST / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP", "publish by MQTT"},
		"TLS":                 {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "begins TLS", "tls: listen"},
		"a load balancer":     {"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", "PROXY protocol", "load balancer"},
		"its second version":  {"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x00", "PROXY protocol", "load balancer"},
		"a scanner":           {"SSH-2.0-x\r\n", "SSH", "who looks"},
		"a truncated CONNECT": {"\x10\x02\x00\x09", "malformed packet", "3.1.1"},
		"PUBLISH first":       {"\x30\x05\x00\x01a12", "no CONNECT packet", "3.1.1"},
		"text":                {"hello, world\r\n", "no CONNECT packet", "3.1.1"},
	} {
		before := s.trouble.Counts()[trouble.Protocol]
		c := rig.Open(t, addr, 4)
		_, _ = c.Conn.Write([]byte(tt.bytes))
		_, _, _ = c.TryRead()
		rig.Until(t, name, func() bool { return s.trouble.Counts()[trouble.Protocol] == before+1 })
		e := s.Trouble()[0]
		if !strings.Contains(e.Cause, tt.cause) || !strings.Contains(e.Advice, tt.advice) {
			t.Errorf("%s: %s: %s", name, e.Cause, e.Advice)
		}
	}
	has(t, "health", conditionOf(s, condition.ClientRefused), "127.0.0.1")
}

// Two clients with one client id, each coming back when it is thrown out, are told
// within ten seconds, with both addresses.
func TestCaseB03(t *testing.T) {
	var clients sync.WaitGroup
	t.Cleanup(clients.Wait)
	s, log := startLogged(t, plain, newRecorder().ingest)
	addr := address(t, s)
	stop := make(chan struct{})
	defer close(stop)
	for _, topic := range []string{"e3/s1/v", "e3/s2/v"} {
		clients.Go(func() {
			for {
				nc, err := net.Dial("tcp", addr)
				if err != nil {
					return
				}
				_, _ = nc.Write(append(append([]byte{0x10, 25, 0, 4}, "MQTT\x04\x02\x00\x3c"...), rig.String("ESP8266Client")...))
				_, _ = nc.Write(append(append([]byte{0x30, 10}, rig.String(topic)...), '1'))
				_, _ = io.Copy(io.Discard, nc)
				_ = nc.Close()
				select {
				case <-stop:
					return
				case <-time.After(300 * time.Millisecond):
				}
			}
		})
	}
	rig.Until(t, "the condition", func() bool { return conditionOf(s, condition.ClientsShareID) != "" })
	text := conditionOf(s, condition.ClientsShareID)
	has(t, "health", text, "client ESP8266Client", "give each")
	addresses := slices.Compact(slices.Sorted(strings.FieldsSeq(text)))
	addresses = slices.DeleteFunc(addresses, func(w string) bool { return !strings.HasPrefix(w, "127.0.0.1:") })
	if len(addresses) < 2 {
		t.Errorf("not both addresses: %s", text)
	}
	rig.Until(t, "the log", func() bool { return strings.Contains(log.String(), "shared_client_id") })
	has(t, "log", log.String(), "ESP8266Client", "shared_client_id", addresses[0])
}

// What a client may not publish is skipped, acknowledged and told: a client of MQTT
// 3.1.1 is not cut off, since it would send it again.
func TestRefusedTopics(t *testing.T) {
	for version, reason := range map[byte][]byte{4: nil, 5: {0x87}} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			r := newRecorder()
			s, _ := startLogged(t, usersConfig(t), r.ingest)
			c, _ := connectAs(t, address(t, s), version, 0xc2, "lamp", "hall s3cret")
			c.Publish(0, 0, "t/x/p", "666")
			c.Publish(2, 1, "t/x/p", "666")
			c.Expect(0x40, 1, reason...)
			c.Publish(4, 2, "t/x/p", "666")
			c.Expect(0x50, 2, reason...)
			if version < 5 {
				c.Write(0x62, []byte{0, 2})
				c.Expect(0x70, 2)
			}
			c.Publish(2, 3, "t/hall/p", "1")
			c.Expect(0x40, 3)
			rig.Same(t, "readings", r.wait(t, 1), []string{"t/hall/p=1"})
			e := troubleOf(t, s, trouble.Topic, 3)
			has(t, "cause", e.Cause, "may not publish to t/x/p")
			has(t, "health", conditionOf(s, condition.ClientLoses), `"lamp"`, "t/x/p")
		})
	}
}

// Topics that nobody may publish to are answered, too.
func TestTopicsOfNobody(t *testing.T) {
	for version, reason := range map[byte][]byte{4: nil, 5: {0x90}} {
		s, _ := startLogged(t, plain, newRecorder().ingest)
		c := rig.Dial(t, address(t, s), version, "lamp")
		for i, name := range []string{"$SYS/x", "t/+/p", "t/#", "$share/a"} {
			c.Publish(2, uint16(i+1), name, "1")
			c.Expect(0x40, uint16(i+1), reason...)
		}
		troubleOf(t, s, trouble.Topic, 4)
	}
}

// A message over max_message is skipped, acknowledged and told; what follows on the
// connection is taken.
func TestTooLong(t *testing.T) {
	for version, reason := range map[byte][]byte{4: nil, 5: {0x97}} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			r := newRecorder()
			s, log := startLogged(t, inlet.Broker{Listen: inlet.Addresses{"127.0.0.1:0"}, MaxMessage: 64 << 10}, r.ingest)
			c := rig.Dial(t, address(t, s), version, "z2m")
			long := strings.Repeat("x", 3<<20)
			c.Publish(0, 0, "zigbee2mqtt/bridge/devices", long)
			c.Publish(3, 1, "zigbee2mqtt/bridge/devices", long)
			c.Expect(0x40, 1, reason...)
			c.Publish(5, 2, "zigbee2mqtt/bridge/devices", long)
			c.Expect(0x50, 2, reason...)
			if version < 5 {
				c.Write(0x62, []byte{0, 2})
				c.Expect(0x70, 2)
			}
			c.Publish(2, 3, "zigbee2mqtt/lamp", "1")
			c.Expect(0x40, 3)
			rig.Same(t, "readings", r.wait(t, 1), []string{"zigbee2mqtt/lamp=1"})
			e := troubleOf(t, s, trouble.TooLarge, 3)
			has(t, "cause", e.Cause, "zigbee2mqtt/bridge/devices", "max_message is 65536")
			has(t, "health", conditionOf(s, condition.ClientLoses), `"z2m"`, "raise max_message")
			has(t, "log", log.String(), "client=z2m", "too_large")
		})
	}
}

// What a middling Zigbee2MQTT says of its devices is taken with the defaults.
func TestZigbee2MQTTDevices(t *testing.T) {
	r := newRecorder()
	s := start(t, plain, r.ingest)
	s.Limit(28 << 20)
	c := rig.Dial(t, address(t, s), 4, "mqttjs_1")
	devices := "[" + strings.Repeat(`{"ieee_address":"0x00158d0001dc126a","type":"EndDevice"},`, 30000) + "{}]"
	c.Publish(3, 1, "zigbee2mqtt/bridge/devices", devices)
	c.Expect(0x40, 1)
	r.wait(t, 1)
	late := rig.Dial(t, address(t, s), 4, "late")
	late.Write(0x82, append(append([]byte{0, 1}, rig.String("zigbee2mqtt/#")...), 0))
	late.Read()
	if kind, body := late.Read(); kind != 0x31 || len(body) < len(devices) {
		t.Errorf("retained: %#x with %d bytes", kind, len(body))
	}
}

// TestPacketsFitMemory: where there is little memory, packets are shorter.
func TestPacketsFitMemory(t *testing.T) {
	for bytes, want := range map[int64]int{28 << 20: 2 << 20, 8 << 20: 699050, 1 << 20: 256 << 10} {
		s, err := New("local", plain, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s.Limit(bytes)
		if got := s.packetLimit(); got != want {
			t.Errorf("with %d bytes packets of %d, want %d", bytes, got, want)
		}
		s.config.MaxMessage = 1 << 20
		if s.Limit(bytes); s.packetLimit() != 1<<20 {
			t.Errorf("with max_message packets of %d", s.packetLimit())
		}
	}
}

// A Mosquitto that is a bridge marks the version in CONNECT: it is let in, and does
// not get back what it sends.
func TestBridgeMark(t *testing.T) {
	r := newRecorder()
	s := start(t, plain, r.ingest)
	for name, version := range map[string]byte{"MQTT": 0x84, "MQIsdp": 0x83} {
		nc, err := net.Dial("tcp", address(t, s))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		c := rig.Over(t, nc, 4)
		b := append(append(rig.String(name), version, 6, 0, 60), rig.String(name)...)
		c.Write(0x10, append(append(b, rig.String("$SYS/broker/connection/x/state")...), rig.String("0")...))
		if kind, body := c.Read(); kind != 0x20 || body[1] != 0 {
			t.Fatalf("CONNECT answered by %#x %x", kind, body)
		}
		c.Publish(3, 1, "$SYS/broker/connection/x/state", "1")
		c.Expect(0x40, 1)
		c.Write(0x82, append(append([]byte{0, 2}, rig.String(name+"/#")...), 0))
		c.Read()
		c.Publish(2, 3, name+"/p", "1")
		c.Expect(0x40, 3)
		c.Silent()
	}
	if all := s.Trouble(); len(all) > 0 {
		t.Errorf("trouble: %v", all)
	}
	r.wait(t, 2)
}

// A client that does not accept the broker's certificate is told, and one that has
// none where one is asked for.
func TestCertificatesAreTold(t *testing.T) {
	a := rig.NewAuthority(t)
	cert, key := a.Issue("localhost", time.Hour)
	for name, tt := range map[string]struct {
		ca    setting.Path
		trust bool
		kind  *trouble.Kind
	}{
		"it does not trust": {"", false, trouble.Certificate},
		"it has none":       {a.File, true, trouble.Protocol},
	} {
		s, _ := startLogged(t, inlet.Broker{TLS: &inlet.TLS{Listen: inlet.Addresses{"127.0.0.1:0"}, Certificate: cert,
			PrivateKey: key, CA: tt.ca}, Anonymous: true}, newRecorder().ingest)
		rig.Until(t, "it listens", func() bool { return s.Addr(true) != nil })
		for range 2 {
			c, err := tls.Dial("tcp", s.Addr(true).String(), &tls.Config{InsecureSkipVerify: tt.trust})
			if err == nil {
				_, _ = c.Read(make([]byte, 1))
				_ = c.Close()
			}
		}
		e := troubleOf(t, s, tt.kind, 2)
		if !strings.Contains(e.Cause, "certificate") {
			t.Errorf("%s: %s", name, e.Cause)
		}
		has(t, name, conditionOf(s, condition.ClientRefused), "127.0.0.1", "certificate")
	}
}

// A client on OpenSSL says without encryption that it does not trust the broker's
// certificate; one that speaks MQTT without TLS there is told as that.
func TestTLSStrangersAreTold(t *testing.T) {
	cert, key := rig.NewAuthority(t).Issue("localhost", time.Hour)
	s, _ := startLogged(t, inlet.Broker{TLS: &inlet.TLS{Listen: inlet.Addresses{"127.0.0.1:0"}, Certificate: cert,
		PrivateKey: key}, Anonymous: true}, newRecorder().ingest)
	rig.Until(t, "it listens", func() bool { return s.Addr(true) != nil })
	addr := s.Addr(true).String()
	rig.Refused(t, addr, "-t", "t/a/p", "-m", "1", "--cafile", string(rig.NewAuthority(t).File))
	has(t, "cause", troubleOf(t, s, trouble.Certificate, 1).Cause, "does not trust the broker's certificate")
	rig.Refused(t, addr, "-t", "t/a/p", "-m", "1")
	e := troubleOf(t, s, trouble.Protocol, 1)
	has(t, "plain MQTT", e.Cause+": "+e.Advice, "MQTT without TLS", "port of listen")
}

// What the broker's library ends on its own account is told, too, and what a client
// cannot help is not blamed on its user's topics.
func TestEndsAreTold(t *testing.T) {
	s, _ := startLogged(t, plain, newRecorder().ingest)
	c := rig.Dial(t, address(t, s), 5, "alias")
	c.Write(0x30, append([]byte{0, 0, 3, 0x23, 0, 1}, "21.5"...)) // an alias that nobody gave a topic
	if e := troubleOf(t, s, trouble.Broken, 1); e.Client.ID != "alias" || !strings.Contains(e.Cause, "alias") {
		t.Errorf("%+v", e)
	}
	c = rig.Dial(t, address(t, s), 4, "latin")
	c.Publish(0, 0, "k\xfcche/t", "1")
	rig.Until(t, "a topic of ISO 8859-1 is told", func() bool {
		return slices.ContainsFunc(s.Trouble(), func(e trouble.Entry) bool {
			return e.Client.ID == "latin" && strings.Contains(e.Cause, "not UTF-8")
		})
	})
	c = rig.Dial(t, address(t, s), 4, "filter")
	c.Publish(2, 1, "t/+/p", "1")
	c.Expect(0x40, 1)
	e := troubleOf(t, s, trouble.Topic, 1)
	has(t, "a filter", e.Cause+": "+e.Advice, "t/+/p, which is a filter", "correct the topic there")
}

// Who is silent for too long is in the list, and not in the log.
func TestSilentClient(t *testing.T) {
	s, log := startLogged(t, plain, newRecorder().ingest)
	c := rig.Open(t, address(t, s), 4)
	c.Write(0x10, append(append(rig.String("MQTT"), 4, 2, 0, 1), rig.String("lamp")...))
	c.Read()
	if e := troubleOf(t, s, trouble.Silent, 1); e.Client.ID != "lamp" {
		t.Errorf("%+v", e)
	}
	if strings.Contains(log.String(), "lamp") || conditionOf(s, condition.ClientRefused) != "" {
		t.Errorf("log: %s", log.String())
	}
}

// A bridge whose user may use some topics connects with the defaults of Mosquitto,
// which says below $SYS how it is.
func TestBridgeOfUser(t *testing.T) {
	r := newRecorder()
	s, _ := startLogged(t, usersConfig(t), r.ingest)
	b := rig.StartMosquitto(t, "allow_anonymous true", "connection plant", "address "+address(t, s),
		"remote_username hall", "remote_password s3cret", "topic t/hall/# out 1")
	rig.Until(t, "it hands on", func() bool {
		rig.Mosquitto(t, "mosquitto_pub", b.Addr, "-q", "1", "-t", "t/hall/p", "-m", "1")
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.all) > 0
	})
	if all := s.Trouble(); len(all) > 0 {
		t.Errorf("trouble: %+v", all)
	}
}
