package uplink

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"fieldbridge/northbound/awsiot/awsiottest"
	"fieldbridge/setting"
)

// tunnel listens and lets serve say where each connection is to go; "" is
// nowhere.
func tunnel(t *testing.T, serve func(net.Conn) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			to := serve(in)
			if to == "" {
				_ = in.Close()
				continue
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			copied := make(chan struct{})
			go func() { defer close(copied); _, _ = io.Copy(out, in); _ = out.Close() }()
			_, _ = io.Copy(in, out)
			_ = in.Close()
			<-copied
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func TestHTTPProxy(t *testing.T) {
	_, cfg := stand(t, awsiottest.Options{})
	var header atomic.Pointer[http.Header]
	addr := tunnel(t, func(c net.Conn) string {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil || r.Method != http.MethodConnect {
			return ""
		}
		header.Store(&r.Header)
		if r.Header.Get("Proxy-Authorization") == "" {
			_, _ = io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
			return ""
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		return r.Host
	})
	cfg.Proxy = "http://user:secret@" + addr
	if err := attemptOnce(t, cfg, nil); err != nil {
		t.Error(err)
	}
	if got := header.Load().Get("Proxy-Authorization"); got != "Basic dXNlcjpzZWNyZXQ=" {
		t.Errorf("authorization %q", got)
	}
	cfg.Proxy = "http://" + addr
	wantExplained(t, attemptOnce(t, cfg, nil), "407 Proxy Authentication Required: correct northbound.awsiot.proxy", true)
	cfg.Proxy = "http://" + tunnel(t, func(c net.Conn) string { _, _ = io.WriteString(c, "SSH-2.0-x\r\n"); return "" })
	wantExplained(t, attemptOnce(t, cfg, nil), "does not answer as an HTTP proxy does", true)
}

func TestSOCKSProxy(t *testing.T) {
	_, cfg := stand(t, awsiottest.Options{})
	var reply atomic.Uint32
	addr := tunnel(t, func(c net.Conn) string {
		read := func(n int) []byte {
			b := make([]byte, n)
			_, _ = io.ReadFull(c, b)
			return b
		}
		methods := read(int(read(2)[1]))
		method := methods[len(methods)-1]
		_, _ = c.Write([]byte{5, method})
		if method == 2 {
			name := read(int(read(2)[1]))
			password := read(int(read(1)[0]))
			status := byte(1)
			if bytes.Equal(name, []byte("user")) && bytes.Equal(password, []byte("secret")) {
				status = 0
			}
			_, _ = c.Write([]byte{1, status})
			if status != 0 {
				return ""
			}
		}
		head := read(4)
		var host string
		switch head[3] {
		case 1:
			host = net.IP(read(4)).String()
		case 3:
			host = string(read(int(read(1)[0])))
		case 4:
			host = net.IP(read(16)).String()
		}
		port := read(2)
		_, _ = c.Write([]byte{5, byte(reply.Load()), 0, 3, 4, 'h', 'o', 's', 't', 0, 80})
		if reply.Load() != 0 {
			return ""
		}
		return net.JoinHostPort(host, strconv.Itoa(int(port[0])<<8|int(port[1])))
	})
	for _, host := range []string{"127.0.0.1", "localhost"} {
		_, port, _ := net.SplitHostPort(cfg.Endpoint)
		cfg.Endpoint = net.JoinHostPort(host, port)
		for _, user := range []string{"", "user:secret@"} {
			cfg.Proxy = "socks5://" + user + addr
			if err := attemptOnce(t, cfg, nil); err != nil {
				t.Errorf("%s by %s: %v", host, cfg.Proxy, err)
			}
		}
	}
	cfg.Proxy = "socks5://user:wrong@" + addr
	wantExplained(t, attemptOnce(t, cfg, nil), "it refuses user name and password", true)
	cfg.Proxy = "socks5://" + addr
	reply.Store(2)
	wantExplained(t, attemptOnce(t, cfg, nil), "connection not allowed by ruleset", true)
	cfg.Proxy = "socks5://127.0.0.1:1"
	wantExplained(t, attemptOnce(t, cfg, nil), "the proxy 127.0.0.1:1 refuses connections", false)
}

func TestProxyKeepsToTheTimeout(t *testing.T) {
	_, cfg := stand(t, awsiottest.Options{})
	cfg.ConnectTimeout = setting.Duration(200_000_000)
	block := make(chan struct{})
	cfg.Proxy = "socks5://" + tunnel(t, func(net.Conn) string { <-block; return "" })
	defer close(block)
	wantExplained(t, attemptOnce(t, cfg, nil), "does not answer in time", false)
}

// TestSOCKSProxyAnswers: what proxies may answer, byte by byte.
func TestSOCKSProxyAnswers(t *testing.T) {
	for _, tt := range []struct {
		answer string
		want   string
		act    bool
	}{
		{"SSH-2.0-x\r\n", "does not answer as a SOCKS5 proxy does", true},
		{"\x05\xff", "it wants another authentication: give its URL", true},
		{"\x05\x00", "it breaks off without a reply", true},
		{"", "it breaks off without a reply", true},
		{"\x05\x00\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00", "it refuses the connection: host unreachable", true},
		{"\x05\x00\x05\x63\x00\x01\x00\x00\x00\x00\x00\x00", "it refuses the connection: unknown code: 99", true},
	} {
		_, cfg := stand(t, awsiottest.Options{})
		cfg.Proxy = "socks5://" + tunnel(t, func(c net.Conn) string {
			_, _ = io.ReadFull(c, make([]byte, 3))
			_, _ = io.WriteString(c, tt.answer)
			if len(tt.answer) > 2 && tt.answer[0] == 5 {
				_, _ = io.ReadFull(c, make([]byte, 10))
			}
			return ""
		})
		wantExplained(t, attemptOnce(t, cfg, nil), tt.want, tt.act)
	}
}
