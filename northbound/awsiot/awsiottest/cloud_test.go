package awsiottest

import (
	"bytes"
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tool skips the test when a program of an independent client is missing, and
// fails it in CI.
func tool(t *testing.T, name string) string {
	t.Helper()
	return needtest.Program(t, name)
}

func start(t *testing.T, change func(*Options)) *Cloud {
	t.Helper()
	o := Options{Dir: t.TempDir()}
	if change != nil {
		change(&o)
	}
	c, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func device(t *testing.T, c *Cloud, name string) Identity {
	t.Helper()
	id, err := c.Device(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// mosquitto runs mosquitto_pub or mosquitto_sub with an identity and returns
// what it wrote.
func mosquitto(t *testing.T, c *Cloud, program string, id Identity, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	host, port, _ := net.SplitHostPort(c.Addr())
	_ = host
	all := append([]string{"-V", "5", "-h", "localhost", "-p", port, "--cafile", c.CA(), "--cert", id.Certificate,
		"--key", id.PrivateKey, "-i", id.Name, "-d"}, args...)
	out, err := exec.CommandContext(ctx, tool(t, program), all...).CombinedOutput()
	return string(out), err
}

func TestPublishByMosquitto(t *testing.T) {
	got := make(chan Message, 1)
	c := start(t, func(o *Options) { o.OnPublish = func(m Message) { got <- m } })
	id := device(t, c, "gateway-1")
	if out, err := mosquitto(t, c, "mosquitto_pub", id, "-q", "1", "-t", "plant/1", "-m", "hello"); err != nil ||
		!strings.Contains(out, "PUBACK") {
		t.Fatalf("%v\n%s", err, out)
	}
	m := <-got
	if m.Client != "gateway-1" || m.Topic != "plant/1" || string(m.Payload) != "hello" || m.QoS != 1 {
		t.Errorf("got %+v", m)
	}
	if n := c.Counts(); n.Published != 1 || n.Units != 1 || n.Connects != 1 {
		t.Errorf("counts %+v", n)
	}
}

func TestRefusalsToMosquitto(t *testing.T) {
	c := start(t, nil)
	id := device(t, c, "gateway-1")
	tests := map[string]struct {
		args   []string
		before func()
		want   string
	}{
		"another client id": {[]string{"-i", "other", "-q", "1", "-t", "a", "-m", "x"}, nil, "Not authorized"},
		"8 slashes":         {[]string{"-q", "1", "-t", "a/b/c/d/e/f/g/h/i", "-m", "x"}, nil, "RC:144"},
		"7 slashes":         {[]string{"-q", "1", "-t", "a/b/c/d/e/f/g/h", "-m", "x"}, nil, "RC:0"},
		"refused on demand": {[]string{"-q", "1", "-t", "a", "-m", "x"},
			func() { c.Script(func(*Message) Verdict { return Verdict{Code: 0x97} }) }, "RC:151"},
		"CONNECT refused": {[]string{"-q", "1", "-t", "a", "-m", "x"},
			func() { c.ScriptConnect(func(string) ConnectVerdict { return ConnectVerdict{Code: 0x87} }) }, "Not authorized"},
		"no CONNACK": {[]string{"-q", "1", "-t", "a", "-m", "x"},
			func() { c.ScriptConnect(func(string) ConnectVerdict { return ConnectVerdict{Close: true} }) }, "Error"},
		"inactive": {[]string{"-q", "1", "-t", "a", "-m", "x"},
			func() { c.SetStatus(id.ID, registry.Inactive) }, "Error"},
		"payload of 128 KiB":  {[]string{"-q", "1", "-t", "a", "-s"}, nil, "RC:0"},
		"payload over 128KiB": {[]string{"-q", "1", "-t", "a", "-s"}, nil, "DISCONNECT"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c.SetStatus(id.ID, registry.Active)
			c.Script(nil)
			c.ScriptConnect(nil)
			if tt.before != nil {
				tt.before()
			}
			var stdin []byte
			switch name {
			case "payload of 128 KiB":
				stdin = bytes.Repeat([]byte("x"), 131072)
			case "payload over 128KiB":
				stdin = bytes.Repeat([]byte("x"), 131073)
			}
			out := pub(t, c, id, stdin, tt.args...)
			if !strings.Contains(out, tt.want) {
				t.Errorf("want %q in:\n%s", tt.want, out)
			}
		})
	}
}

// pub runs mosquitto_pub with something on its standard input.
func pub(t *testing.T, c *Cloud, id Identity, stdin []byte, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, port, _ := net.SplitHostPort(c.Addr())
	all := append([]string{"-V", "5", "-h", "localhost", "-p", port, "--cafile", c.CA(), "--cert", id.Certificate,
		"--key", id.PrivateKey, "-i", id.Name, "-d"}, args...)
	cmd := exec.CommandContext(ctx, tool(t, "mosquitto_pub"), all...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, _ := cmd.CombinedOutput()
	return string(out)
}

func TestOfflineAndBackOnTheSameAddress(t *testing.T) {
	c := start(t, nil)
	addr := c.Addr()
	c.Offline()
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("an offline cloud accepts connections")
	}
	if err := c.Online(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil || c.Addr() != addr {
		t.Fatalf("back at %s instead of %s: %v", c.Addr(), addr, err)
	}
	conn.Close()
}

func TestIdentitiesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	one, err := Start(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	first := device(t, one, "gateway-1")
	one.Close()
	two := start(t, func(o *Options) { o.Dir = dir })
	if second := device(t, two, "gateway-1"); second != first {
		t.Errorf("%+v became %+v", first, second)
	}
	if two.status(first.ID) != registry.Active {
		t.Error("the certificate of an earlier run is not registered")
	}
}
