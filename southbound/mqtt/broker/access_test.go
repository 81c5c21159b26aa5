package broker

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/inlet"
	"fieldbridge/southbound/mqtt/mqtttest/rig"
)

func usersConfig(t *testing.T) inlet.Broker {
	return inlet.Broker{Listen: inlet.Addresses{"127.0.0.1:0"}, Users: map[string]inlet.User{
		"hall": {PasswordFile: rig.File(t, "hall", "s3cret\n"), Topics: []string{"t/hall/#", "h/+"}},
		"all":  {PasswordFile: rig.File(t, "all", "pass")},
		"lost": {PasswordFile: "missing"},
	}}
}

func TestUsers(t *testing.T) {
	r := newRecorder()
	s := start(t, usersConfig(t), r.ingest)
	addr := address(t, s)
	message := []string{"-q", "1", "-t", "t/hall/p", "-m", "1"}
	for _, version := range []string{"mqttv311", "mqttv5"} {
		rig.Refused(t, addr, append(message, "-V", version)...)
		rig.Refused(t, addr, append(message, "-V", version, "-u", "hall", "-P", "wrong")...)
		rig.Refused(t, addr, append(message, "-V", version, "-u", "nobody", "-P", "s3cret")...)
		rig.Refused(t, addr, append(message, "-V", version, "-u", "lost", "-P", "x")...)
		rig.Mosquitto(t, "mosquitto_pub", addr, append(message, "-V", version, "-u", "hall", "-P", "s3cret")...)
		rig.Mosquitto(t, "mosquitto_pub", addr, "-q", "1", "-t", "t/x/p", "-m", "2", "-V", version, "-u", "all", "-P", "pass")
	}
	rig.Same(t, "readings", r.wait(t, 4), []string{"t/hall/p=1", "t/x/p=2", "t/hall/p=1", "t/x/p=2"})
	rig.Same(t, "refused clients", s.Counts().Denied, uint64(8))
}

func TestTopicsOfUsers(t *testing.T) {
	r := newRecorder()
	s := start(t, usersConfig(t), r.ingest)
	addr := address(t, s)
	hall := []string{"-u", "hall", "-P", "s3cret", "-V", "mqttv5", "-q", "1"}
	if out := rig.Mosquitto(t, "mosquitto_pub", addr, append(hall, "-t", "t/x/p", "-m",
		"666")...); !strings.Contains(out, "Not authorized") {
		t.Errorf("mosquitto_pub says %q", out)
	}
	// A last will, and an alias, do not get around it.
	rig.Refused(t, addr, append(hall, "-t", "t/hall/p", "-m", "1", "--will-topic", "t/x/p", "--will-payload", "666")...)
	c := rig.Open(t, addr, 5)
	b := append(append(rig.String("MQTT"), 5, 0xc2, 0, 60, 0), rig.String("c")...)
	c.Write(0x10, append(append(b, rig.String("hall")...), rig.String("s3cret")...))
	c.Read()
	c.Write(0x30, append(rig.String("t/x/p"), 3, 0x23, 0, 1, '6'))
	c.Write(0x32, append(rig.String(""), 0, 9, 3, 0x23, 0, 1, '6'))
	if kind, body := c.Read(); kind != 0x40 && kind != 0xe0 {
		t.Errorf("got %#x %x, want PUBACK or DISCONNECT", kind, body)
	}
	for filter, code := range map[string]byte{"#": 0x87, "t/hall/p": 1, "t/hall/+": 1, "h/x": 1, "h/#": 0x87,
		"$share/g/t/hall/#": 1, "$share/g/#": 0x87} {
		d := rig.Open(t, addr, 5)
		d.Write(0x10, append(append(append([]byte(nil), b...), rig.String("hall")...), rig.String("s3cret")...))
		d.Read()
		d.Write(0x82, append(append([]byte{0, 1, 0}, rig.String(filter)...), 1))
		if _, body := d.Read(); body[len(body)-1] != code {
			t.Errorf("subscription to %s: got %#x, want %#x", filter, body[len(body)-1], code)
		}
		_ = d.Conn.Close()
	}
	rig.Mosquitto(t, "mosquitto_pub", addr, append(hall, "-t", "t/hall/p", "-m", "1")...)
	rig.Same(t, "readings", r.wait(t, 1), []string{"t/hall/p=1"})
}

func TestEmbeddedTLS(t *testing.T) {
	a := rig.NewAuthority(t)
	cert, key := a.Issue("localhost", time.Hour)
	clientCert, clientKey := a.Issue("sensor", time.Hour)
	config := inlet.Broker{Listen: inlet.Addresses{"127.0.0.1:0"},
		TLS: &inlet.TLS{Listen: inlet.Addresses{"127.0.0.1:0"}, Certificate: cert,
			PrivateKey: key, CA: a.File}}
	r := newRecorder()
	s := start(t, config, r.ingest)
	rig.Until(t, "both listen", func() bool { return s.Addr(true) != nil && s.Addr(false) != nil })
	_, port, _ := net.SplitHostPort(s.Addr(true).String())
	secure := "localhost:" + port
	args := []string{"-q", "2", "-t", "t/a/p", "-m", "1", "--cafile", string(a.File)}
	rig.Mosquitto(t, "mosquitto_pub", secure, append(args, "--cert", string(clientCert), "--key", string(clientKey))...)
	rig.Refused(t, secure, args...)
	rig.Mosquitto(t, "mosquitto_pub", s.Addr(false).String(), "-q", "1", "-t", "t/a/p", "-m", "2")
	rig.Same(t, "readings", r.wait(t, 2), []string{"t/a/p=1", "t/a/p=2"})
}

// A certificate that is missing is an alarm, and used as soon as it is there.
func TestEmbeddedTLSLater(t *testing.T) {
	a := rig.NewAuthority(t)
	cert, key := a.Issue("localhost", time.Hour)
	hidden := string(cert) + ".hidden"
	if err := os.Rename(string(cert), hidden); err != nil {
		t.Fatal(err)
	}
	config := inlet.Broker{TLS: &inlet.TLS{Listen: inlet.Addresses{"127.0.0.1:0"}, Certificate: cert, PrivateKey: key}}
	s := start(t, config, newRecorder().ingest)
	rig.Until(t, "the alarm", func() bool {
		h := s.Health()
		return len(h) == 1 &&
			strings.Contains(h[0].Text, "cert.pem")
	})
	if err := os.Rename(hidden, string(cert)); err != nil {
		t.Fatal(err)
	}
	rig.Until(t, "the broker listens", func() bool { return s.Addr(true) != nil })
}

// A user whose password lies on a disk that blocks waits for it alone: nobody
// else does, to connect, to publish or to be counted.
func TestPasswordOnBlockedDisk(t *testing.T) {
	blocked := setting.Path(filepath.Join(t.TempDir(), "password"))
	if err := syscall.Mkfifo(string(blocked), 0o600); err != nil { // blocks who opens it to read
		t.Fatal(err)
	}
	r := newRecorder()
	s := start(t, inlet.Broker{Listen: inlet.Addresses{"127.0.0.1:0"}, Users: map[string]inlet.User{
		"blocked": {PasswordFile: blocked}, "good": {PasswordFile: rig.File(t, "good", "pass")}}}, r.ingest)
	addr := address(t, s)
	connect := func(id, user string) *rig.Client {
		c := rig.Open(t, addr, 4)
		body := append(append(rig.String("MQTT"), 4, 0xc2, 0, 60), rig.String(id)...)
		c.Write(0x10, append(append(body, rig.String(user)...), rig.String("pass")...))
		return c
	}
	before := connect("before", "good")
	before.Read()
	waiting := connect("waiting", "blocked")
	rig.Until(t, "both are there", func() bool { return s.Counts().Clients == 2 })
	for i := range uint16(5) {
		before.Publish(2, i+1, "t", "1")
		before.Expect(puback, i+1)
		c := connect("after", "good")
		c.Read()
		c.Publish(2, 1, "t", "2")
		c.Expect(puback, 1)
		s.Health()
		s.Counts()
	}
	w, err := os.OpenFile(string(blocked), os.O_WRONLY, 0) // succeeds only while somebody reads
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("pass\n"); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if kind, body := waiting.Read(); kind != 0x20 || body[1] != 0 {
		t.Errorf("got %#x %x, want the CONNACK that waited for the disk", kind, body)
	}
}
