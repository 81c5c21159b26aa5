package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest"
)

// TestSilentNameServer starts the gateway as `run` wires it, on a machine whose
// name server says nothing to questions for IPv6 addresses, as many do: it must
// connect all the same, at once. [net.Dialer] takes ten seconds.
func TestSilentNameServer(t *testing.T) {
	names := silentNameServer(t) // replaces the machine's: no t.Parallel
	// The first attempt comes within backoff.min, a second; a busy machine may be slow
	// more than once.
	took := connecting(t)
	for range 5 {
		if took > 5*time.Second {
			took = connecting(t)
		}
	}
	if took > 5*time.Second {
		t.Errorf("connected %v after the start", took)
	}
	if names.Load() == 0 {
		t.Error("nobody asked for IPv6 addresses: the test tests nothing")
	}
}

// connecting tells after what time a gateway is connected with cloud.example.
func connecting(t *testing.T) time.Duration {
	t.Helper()
	dir := t.TempDir()
	cloud, err := awsiottest.Start(awsiottest.Options{Dir: filepath.Join(dir, "certs")})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	if _, err := cloud.Device("g"); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(cloud.Addr())
	file := filepath.Join(dir, "g.yaml")
	text := fmt.Sprintf(`gateway: g
northbound:
  awsiot:
    endpoint: "cloud.example:%s"
    server_name: localhost
    certificate: certs/g.pem
    private_key: certs/g.key
    ca: certs/ca.pem
    topic: t
    connect_timeout: 60s
southbound: {modbus: {buses: {}, devices: {}}}
store: {dir: queue}
`, port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	started, err := Load(t.Context(), file, "")
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(started, Options{File: file, Logging: NewLogging(io.Discard, started.Config.Log)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- g.Run(ctx) }()
	begin := time.Now()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	wait(t, "it is connected", func() bool { return g.sink.Link().Connected })
	return time.Since(begin)
}

// silentNameServer makes a name server the machine's that gives 127.0.0.1 to
// every question for IPv4 addresses and no answer to any other. It returns how
// many it has left unanswered.
func silentNameServer(t *testing.T) *atomic.Int64 {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unanswered, ended := new(atomic.Int64), make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			// RFC 1035, section 4.1: name, type, class of the one question.
			const header, typeA = 12, 1
			question := b[header : header+bytes.IndexByte(b[header:n], 0)+5]
			if question[len(question)-3] != typeA {
				unanswered.Add(1)
				continue
			}
			answer := append([]byte{b[0], b[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, question...)
			answer = append(answer, 0xC0, header, 0, typeA, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
			_, _ = conn.WriteTo(answer, from)
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() { net.DefaultResolver = before; _ = conn.Close(); <-ended })
	return unanswered
}
