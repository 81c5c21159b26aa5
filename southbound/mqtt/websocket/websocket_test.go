package websocket

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// serve answers one connection as d says. It returns where, and what came of it:
// what the other side sent, in capitals, was sent back.
func serve(t *testing.T, d Door) (address string, ended <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	end := make(chan error, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			end <- err
			return
		}
		defer nc.Close()
		c := d.Server(nc)
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		b := make([]byte, 100)
		for {
			n, err := c.Read(b)
			if err != nil {
				end <- err
				return
			}
			if _, err := c.Write([]byte(strings.ToUpper(string(b[:n])))); err != nil {
				end <- err
				return
			}
		}
	}()
	return l.Addr().String(), end
}

func tcp(address string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", address) }
}

// Both ends carry bytes, however they are cut, and a close is the end.
func TestBothEnds(t *testing.T) {
	address, ended := serve(t, Door{Path: "/mqtt"})
	c, err := Dial(t.Context(), "ws://"+address+"/mqtt", tcp(address))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	text := strings.Repeat("abcdefghij", 1000)
	for _, part := range []string{text[:1], text[1:5000], text[5000:]} {
		if _, err := c.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != strings.ToUpper(text) {
		t.Errorf("%v, %.20q", err, got)
	}
	_ = c.(*conn).ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""),
		time.Now().Add(time.Second))
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("after a close: %v", err)
	}
	_ = c.Close()
}

// TestDoor: who is let in, and what the others are told.
func TestDoor(t *testing.T) {
	request := func(path, host string, more ...string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
			"Sec-WebSocket-Protocol: mqtt\r\n" + strings.Join(more, "\r\n") + "\r\n"
	}
	from := func(origin, host string) string { return request("/mqtt", host, "Origin: "+origin, "") }
	for name, tt := range map[string]struct {
		door           Door
		request        string
		status, reason string // reason is "" if it is let in
	}{
		"no browser":          {Door{}, request("/", "10.0.0.5:8083"), "101", ""},
		"the path":            {Door{Path: "/mqtt"}, request("/mqtt", "x"), "101", ""},
		"another path":        {Door{Path: "/mqtt"}, request("/", "x"), "404", "no WebSocket at the path"},
		"the host's own page": {Door{}, from("http://10.0.0.5:8083", "10.0.0.5:8083"), "101", ""},
		"a page of localhost": {Door{}, from("http://localhost:8083", "localhost:8083"), "101", ""},
		"a foreign page": {Door{}, from("https://evil.example", "127.0.0.1:8083"), "403",
			`"https://evil.example" may not`},
		"a name pointed here": {Door{}, from("http://evil.example:8083", "evil.example:8083"), "403", "may not connect"},
		"another port":        {Door{}, from("http://10.0.0.5:80", "10.0.0.5:8083"), "403", "may not connect"},
		"a sandboxed page":    {Door{}, from("null", "127.0.0.1:8083"), "403", "may not connect"},
		"a page that is listed": {Door{Origins: []string{"https://panel.example"}}, from("https://PANEL.example", "x"), "101",
			""},
		"any page":     {Door{Origins: []string{"*"}}, from("https://x.example", "x"), "101", ""},
		"no WebSocket": {Door{}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "400", "does not ask for a WebSocket"},
		"MQTT itself":  {Door{}, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a\n\n", "", "MQTT without WebSocket"},
		"TLS":          {Door{}, "\x16\x03\x01\x00\x05hello\n\n", "", "it begins TLS"},
		"an endless request": {Door{}, "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 17<<10), "",
			"does not ask for a WebSocket"},
	} {
		address, ended := serve(t, tt.door)
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = c.Write([]byte(tt.request))
		answer := make([]byte, 12)
		n, _ := io.ReadFull(c, answer)
		if got := string(answer[:n]); tt.status != "" && got != "HTTP/1.1 "+tt.status {
			t.Errorf("%s: answered %q, want %s", name, got, tt.status)
		}
		_ = c.Close()
		if err := <-ended; tt.reason != "" && !strings.Contains(err.Error(), tt.reason) {
			t.Errorf("%s: %v, want %s", name, err, tt.reason)
		}
	}
}

// Text is no MQTT (MQTT-6.0.0-1), and nothing can be written to a client that has
// not asked.
func TestTextAndHaste(t *testing.T) {
	address, ended := serve(t, Door{})
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+address, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if err := ws.WriteMessage(websocket.TextMessage, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, errText) {
		t.Errorf("%v", err)
	}
	if _, err := (Door{}).Server(nil).Write([]byte("x")); !errors.Is(err, errTooEarly) {
		t.Errorf("%v", err)
	}
}

// The deadline of the request outlives the upgrade, and that of a write holds for
// those that follow.
func TestDeadlines(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	b := &below{Conn: far}
	if err := b.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	l := ofLibrary{b}
	if err := errors.Join(l.SetWriteDeadline(time.Time{}), l.SetDeadline(time.Time{})); err != nil {
		t.Fatal(err)
	}
	var late net.Error
	if _, err := l.Write([]byte("x")); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("%v", err)
	}
}

// TestDialRefused: what is not a WebSocket is told as that, and a context that ends
// ends the wait.
func TestDialRefused(t *testing.T) {
	address, _ := serve(t, Door{Path: "/mqtt"})
	_, err := Dial(t.Context(), "ws://"+address+"/other", tcp(address))
	if err == nil || !strings.Contains(err.Error(), "404") || !strings.Contains(err.Error(), "path") {
		t.Errorf("%v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if c, err := Dial(ctx, "ws://"+l.Addr().String(), tcp(l.Addr().String())); err == nil {
		t.Errorf("a silent server is taken: %v", c)
	}
}

// FuzzDoor: whatever a client sends is answered or refused.
func FuzzDoor(f *testing.F) {
	f.Add([]byte("GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: " +
		"13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
	f.Add([]byte("GET / HTTP/1.1\r\nOrigin: ://\r\n\r\n"))
	f.Fuzz(func(t *testing.T, request []byte) {
		near, far := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(io.Discard, near)
		}()
		go func() {
			_, _ = near.Write(request)
			_ = near.Close()
		}()
		c := Door{Path: "/mqtt"}.Server(far)
		b := make([]byte, 100)
		for {
			if _, err := c.Read(b); err != nil {
				break
			}
		}
		_ = far.Close()
		<-done
	})
}
