package uplink

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"golang.org/x/net/proxy"

	"fieldbridge/setting"
)

// proxy returns where the proxy is and who we are to it. It reads the password's
// file, so that a new one is used at the next connection.
func (c *Config) proxy() (*url.URL, error) {
	u, err := parseProxy(c.Proxy)
	if err != nil || c.ProxyPasswordFile == "" {
		return u, err
	}
	data, err := c.ProxyPasswordFile.Read()
	if err != nil {
		return nil, &setting.FileError{Key: "proxy_password_file", Path: c.ProxyPasswordFile, Err: err}
	}
	line, _, _ := strings.Cut(string(data), "\n")
	u.User = url.UserPassword(u.User.Username(), strings.TrimSuffix(line, "\r"))
	return u, nil
}

// parseProxy reads the URL of a proxy. Its port is 3128 for HTTP and 1080 for
// SOCKS unless given.
func parseProxy(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" {
		return nil, errors.New("the proxy is not a URL like http://host:3128")
	}
	port := map[string]string{"http": "3128", "socks5": "1080"}[u.Scheme]
	if port == "" {
		return nil, fmt.Errorf("the proxy's scheme %q is not known", u.Scheme)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return u, nil
}

// proxyError is a proxy that does not let us through.
type proxyError struct {
	proxy  string
	reason string
	away   bool // it lets us through, but the endpoint does not answer
}

func (e *proxyError) Error() string { return fmt.Sprintf("proxy %s: %s", e.proxy, e.reason) }

// through returns a dialer that goes through a proxy. Names are resolved by the
// proxy: the gateway may have no name server.
func through(p *url.URL, dial dialer) dialer {
	if p.Scheme == "socks5" {
		return throughSOCKS(p, dial)
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, p.Host)
		if err != nil {
			return nil, fmt.Errorf("proxy %s: %w", p.Host, err)
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		err = connectHTTP(conn, p, address)
		if !stop() {
			err = ctx.Err()
		}
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		return conn, nil
	}
}

// connectHTTP asks an HTTP proxy for a tunnel (RFC 9110, section 9.3.6).
func connectHTTP(conn net.Conn, p *url.URL, address string) error {
	request := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if u := p.User; u != nil {
		password, _ := u.Password()
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)) +
			"\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return &proxyError{proxy: p.Host, reason: err.Error()}
	}
	r := bufio.NewReader(conn)
	answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return &proxyError{proxy: p.Host, reason: "it does not answer as an HTTP proxy does: " + err.Error()}
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return &proxyError{p.Host, "it refuses the connection: " + answer.Status,
			answer.StatusCode >= http.StatusInternalServerError}
	}
	if r.Buffered() > 0 {
		return &proxyError{proxy: p.Host, reason: "it said more than it should"} // a TLS server waits for its client
	}
	return nil
}

// throughSOCKS goes through a proxy of SOCKS version 5 (RFC 1928 and 1929).
func throughSOCKS(p *url.URL, dial dialer) dialer {
	var auth *proxy.Auth
	if u := p.User; u != nil {
		password, _ := u.Password()
		auth = &proxy.Auth{User: u.Username(), Password: password}
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		forward := &toProxy{dial: dial}
		socks, err := proxy.SOCKS5(network, p.Host, auth, forward)
		if err != nil {
			return nil, err
		}
		conn, err := socks.(proxy.ContextDialer).DialContext(ctx, network, address)
		switch {
		case err == nil:
			return conn, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded): // the library's read ends a little before the context
			return nil, context.DeadlineExceeded
		case forward.err != nil:
			return nil, fmt.Errorf("proxy %s: %w", p.Host, forward.err)
		}
		return nil, explainSOCKS(p.Host, err)
	}
}

// toProxy opens the connection to a proxy and keeps why it could not.
type toProxy struct {
	dial dialer
	err  error
}

// Dial implements [proxy.Dialer]; it is not called where DialContext is there.
func (d *toProxy) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext implements [proxy.ContextDialer].
func (d *toProxy) DialContext(ctx context.Context, network, address string) (conn net.Conn, err error) {
	conn, d.err = d.dial(ctx, network, address)
	return conn, d.err
}

// explainSOCKS puts what the library says of a proxy, which has no values to
// compare with, in our words.
func explainSOCKS(host string, err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	text := err.Error()
	refusal, refused := strings.CutPrefix(text, "unknown error ")
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return &proxyError{proxy: host, reason: "it breaks off without a reply"}
	case strings.HasPrefix(text, "no acceptable authentication"):
		return &proxyError{proxy: host,
			reason: "it wants another authentication: give its URL as socks5://user:password@host"}
	case strings.HasPrefix(text, "username/password"):
		return &proxyError{proxy: host, reason: "it refuses user name and password"}
	case strings.HasPrefix(text, "unexpected protocol version"):
		return &proxyError{proxy: host, reason: "it does not answer as a SOCKS5 proxy does"}
	case refused:
		away := refusal != "connection not allowed by ruleset"
		return &proxyError{host, "it refuses the connection: " + refusal, away}
	}
	return &proxyError{proxy: host, reason: text}
}
