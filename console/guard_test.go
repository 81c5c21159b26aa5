package console

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// TestHost: a page of another name, that a browser was led to take for the
// console, is told nothing.
func TestHost(t *testing.T) {
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	h := guard([]string{"gateway-7.plant.example"}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for host, want := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:8080": 200, "[::1]:8080": 200, "[::1]": 200,
		"192.168.0.4:80": 200, "[fe80::1%eth0]": 200,
		"localhost": 200, "LOCALHOST:8080": 200, machine + ":80": 200, machine + ".local": 200,
		"gateway-7.plant.example": 200, "Gateway-7.plant.example.:80": 200,
		"evil.example.com": 421, "evil.example.com:8080": 421, "localhost.evil.example.com": 421,
		"127.0.0.1.evil.example.com": 421, "gateway-7": 421, "": 421,
	} {
		r := httptest.NewRequest("GET", "/status", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
}

// serveView serves v until the test ends, and returns the address.
func serveView(t *testing.T, v *View) string {
	t.Helper()
	return strings.Trim(strings.TrimPrefix(serveAs(t, v, Config{Listen: "127.0.0.1:0"}), "http:"), "/")
}

// serveAs serves v as config says until the test ends, and returns where.
func serveAs(t *testing.T, v *View, config Config) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); v.Serve(ctx, config, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() { cancel(); <-done })
	until(t, func() bool { return v.URL() != "" })
	return v.URL()
}

// TestServeChecksHost: the check is in what the gateway serves, not only beside
// it.
func TestServeChecksHost(t *testing.T) {
	addr := serveView(t, &View{Status: func() any { return nil }})
	for host, want := range map[string]int{addr: 200, "evil.example.com": 421} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+"/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != want {
			t.Errorf("Host %s: %d (%v), want %d", host, res.StatusCode, err, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestCrowd: connections that only sit there shut nobody out, and are not kept.
func TestCrowd(t *testing.T) {
	addr := serveView(t, &View{Status: func() any { return nil }})
	var idle []net.Conn
	for range 3 * mostConnections {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		idle = append(idle, c)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := fmt.Fprintf(c, "GET /status HTTP/1.1\r\nHost: %s\r\n\r\n", addr); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Errorf("beside %d idle connections: %q, %v", len(idle), line, err)
	}
	// The oldest were closed: reading from them ends at once.
	for _, old := range idle[:len(idle)-mostConnections] {
		if err := old.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := old.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
			t.Fatalf("an old idle connection is still there: %v", err)
		}
	}
}

// TestCrowdOfBusy: where all are busy the newest goes.
func TestCrowdOfBusy(t *testing.T) {
	var c crowd
	var all []net.Conn
	for range mostConnections {
		conn, _ := net.Pipe()
		all = append(all, conn)
		if c.count(conn, http.StateNew) != nil || c.count(conn, http.StateActive) != nil {
			t.Fatal("one of the first has to go")
		}
	}
	extra, _ := net.Pipe()
	if got := c.count(extra, http.StateNew); got != extra {
		t.Errorf("%v has to go, want the newest", got)
	}
	c.count(all[0], http.StateIdle)
	next, _ := net.Pipe()
	if got := c.count(next, http.StateNew); got != all[0] {
		t.Errorf("%v has to go, want the one that waits", got)
	}
	c.count(all[1], http.StateClosed)
	if got := c.count(all[0], http.StateNew); got != nil {
		t.Errorf("%v has to go although there is room", got)
	}
}
