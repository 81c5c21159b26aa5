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
	"strconv"
)

// parseProxy reads the URL of a proxy. Its port is 3128 for HTTP and 1080 for
// SOCKS unless given.
func parseProxy(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" {
		return nil, fmt.Errorf("the proxy %q is no URL like http://host:3128", text)
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
func through(proxy *url.URL, dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, proxy.Host)
		if err != nil {
			return nil, fmt.Errorf("proxy %s: %w", proxy.Host, err)
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		speak := connectHTTP
		if proxy.Scheme == "socks5" {
			speak = connectSOCKS
		}
		ready, err := speak(conn, proxy, address)
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			_ = conn.Close()
			if cause := ctx.Err(); cause != nil {
				err = cause
			}
			return nil, err
		}
		return ready, nil
	}
}

// connectHTTP asks an HTTP proxy for a tunnel (RFC 9110, section 9.3.6).
func connectHTTP(conn net.Conn, proxy *url.URL, address string) (net.Conn, error) {
	request := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return nil, &proxyError{proxy: proxy.Host, reason: err.Error()}
	}
	r := bufio.NewReader(conn)
	answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, &proxyError{proxy: proxy.Host, reason: "it does not answer as an HTTP proxy does: " + err.Error()}
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, &proxyError{proxy.Host, "it refuses the connection: " + answer.Status, answer.StatusCode >= http.StatusInternalServerError}
	}
	if r.Buffered() > 0 {
		return nil, &proxyError{proxy: proxy.Host, reason: "it said more than it should"} // a TLS server waits for its client
	}
	return conn, nil
}

// Of SOCKS version 5 (RFC 1928 and 1929).
const (
	socksVersion  = 5
	socksNoAuth   = 0
	socksPassword = 2
	socksConnect  = 1
	socksIPv4     = 1
	socksName     = 3
	socksIPv6     = 4
)

var socksReplies = map[byte]string{1: "general failure", 2: "not allowed by its rules", 3: "network unreachable", 4: "host unreachable",
	5: "connection refused", 6: "time to live expired", 7: "command not supported", 8: "address type not supported"}

func connectSOCKS(conn net.Conn, proxy *url.URL, address string) (net.Conn, error) {
	fail := func(reason string) (net.Conn, error) { return nil, &proxyError{proxy: proxy.Host, reason: reason} }
	method := byte(socksNoAuth)
	if proxy.User != nil {
		method = socksPassword
	}
	if _, err := conn.Write([]byte{socksVersion, 1, method}); err != nil {
		return fail(err.Error())
	}
	answer := make([]byte, 2)
	if _, err := io.ReadFull(conn, answer); err != nil || answer[0] != socksVersion {
		return fail("it does not answer as a SOCKS5 proxy does")
	}
	if answer[1] != method {
		return fail("it wants another authentication: give its URL as socks5://user:password@host")
	}
	if method == socksPassword {
		if err := socksLogin(conn, proxy.User); err != nil {
			return fail(err.Error())
		}
	}
	request, err := socksRequest(address)
	if err != nil {
		return fail(err.Error())
	}
	if _, err := conn.Write(request); err != nil {
		return fail(err.Error())
	}
	if err := socksReply(conn); err != nil {
		return nil, &proxyError{proxy.Host, err.Error(), true}
	}
	return conn, nil
}

func socksLogin(conn net.Conn, user *url.Userinfo) error {
	password, _ := user.Password()
	name := user.Username()
	if len(name) > 255 || len(password) > 255 {
		return errors.New("user name or password is longer than 255 bytes")
	}
	login := append([]byte{1, byte(len(name))}, name...)
	login = append(append(login, byte(len(password))), password...)
	if _, err := conn.Write(login); err != nil {
		return err
	}
	answer := make([]byte, 2)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if answer[1] != 0 {
		return errors.New("it refuses user name and password")
	}
	return nil
}

func socksRequest(address string) ([]byte, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || len(host) > 255 {
		return nil, fmt.Errorf("impossible address %q", address)
	}
	request := []byte{socksVersion, socksConnect, 0}
	if ip := net.ParseIP(host); ip == nil {
		request = append(append(request, socksName, byte(len(host))), host...)
	} else if v4 := ip.To4(); v4 != nil {
		request = append(append(request, socksIPv4), v4...)
	} else {
		request = append(append(request, socksIPv6), ip...)
	}
	return append(request, byte(port>>8), byte(port)), nil
}

// socksReply reads the reply with the address that the proxy uses, of which we
// need nothing.
func socksReply(conn net.Conn) error {
	head := make([]byte, 5)
	if _, err := io.ReadFull(conn, head); err != nil {
		return errors.New("it breaks off without a reply")
	}
	if head[1] != 0 {
		why := socksReplies[head[1]]
		if why == "" {
			why = fmt.Sprintf("code %d", head[1])
		}
		return errors.New("it refuses the connection: " + why)
	}
	address := map[byte]int{socksIPv4: 4, socksIPv6: 16, socksName: 1 + int(head[4])}[head[3]]
	if head[0] != socksVersion || address == 0 {
		return errors.New("it does not answer as a SOCKS5 proxy does")
	}
	const port = 2
	_, err := io.ReadFull(conn, make([]byte, address-1+port)) // one byte of the address has been read
	return err
}
