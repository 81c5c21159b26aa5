package awsiot

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fieldbridge/bridge"
	"fieldbridge/needtest"
	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/setting"
)

// TestRealMosquitto connects to a broker that is not ours, over mutual TLS, and
// reads what arrives with a client that is not ours.
func TestRealMosquitto(t *testing.T) {
	broker, subscriber := peer(t, "mosquitto"), peer(t, "mosquitto_sub")
	dir := t.TempDir()
	authority, err := awsiottest.NewAuthority(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name string, terms awsiottest.Terms) awsiottest.Identity {
		id, err := authority.Issue(name, terms)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	server := issue("server", awsiottest.Terms{Hosts: []string{"localhost"}})
	gateway, reader := issue("gateway-1", awsiottest.Terms{}), issue("reader", awsiottest.Terms{})
	port := needtest.Port(t)
	ca := filepath.Join(dir, "ca.pem")
	config := fmt.Sprintf("listener %d 127.0.0.1\ncafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate "+
		"true\nallow_anonymous true\nuser root\n",
		port, ca, server.Certificate, server.PrivateKey)
	file := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, broker, "-c", file)

	cfg := validConfig()
	cfg.Endpoint, cfg.ServerName, cfg.CA = fmt.Sprintf("127.0.0.1:%d", port), "localhost", setting.Path(ca)
	use(&cfg, gateway)
	sink, err := New(cfg, Options{Gateway: "gateway-1", Run: "r", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	links, ended := make(chan bridge.Link), make(chan struct{})
	go func() {
		defer close(ended)
		_ = sink.Run(ctx, func(ctx context.Context, link bridge.Link) { links <- link; <-ctx.Done() })
	}()
	defer func() { cancel(); <-ended }()
	link := <-links

	lines := run(t, subscriber, "-V", "5", "-h", "localhost", "-p", fmt.Sprint(port), "--cafile", ca, "--cert",
		reader.Certificate,
		"--key", reader.PrivateKey, "-q", "1", "-t", "plant/#", "-t", "ready", "-v")
	// The subscriber has subscribed when it hears us.
	for heard := false; !heard; {
		if err := <-publish(link, "ready", "?"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-lines:
			heard = true
		default:
		}
	}
	m, _, err := sink.Format().Pack([]bridge.Entry{{Run: "r", Seq: 1,
		Batch: bridge.Batch{Device: "boiler", At: noon, Readings: []bridge.Reading{reading("t", bridge.Float64(21.3))}}}})
	if err != nil {
		t.Fatal(err)
	}
	outcome := make(chan error, 1)
	link.Publish(m, func(err error) { outcome <- err })
	if err := <-outcome; err != nil {
		t.Fatal(err)
	}
	for line := range lines {
		if !strings.HasPrefix(line, "ready") {
			if line != "plant/gateway-1 "+string(m.Payload) {
				t.Errorf("got %s", line)
			}
			break
		}
	}
}

// peer returns the path of a program that must be installed in CI.
func peer(t *testing.T, name string) string {
	t.Helper()
	return needtest.Program(t, name)
}

// run starts a program and returns the lines that it writes. It is killed at the
// end of the test.
func run(t *testing.T, name string, args ...string) <-chan string {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range lines {
		}
		_ = cmd.Wait()
	})
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines
}
