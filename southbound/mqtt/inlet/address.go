package inlet

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Addresses are one address or a list of them.
type Addresses []string

// UnmarshalText reads one address.
func (a *Addresses) UnmarshalText(text []byte) error {
	*a = Addresses{string(text)}
	return nil
}

// String is the addresses for people.
func (a Addresses) String() string { return strings.Join(a, ", ") }

// Listener is an address where an embedded broker listens.
type Listener struct {
	Address   string // host:port
	WebSocket bool
	Path      string // of a WebSocket; "" takes any
	secure    bool   // it says wss
}

// ParseListener reads host:port, or ws://host:port/path.
func ParseListener(s string) (Listener, error) {
	if !strings.Contains(s, "://") {
		return Listener{Address: s}, checkAddress(s, s)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return Listener{}, fmt.Errorf("%q is not a URL", s)
	case u.Scheme != "ws" && u.Scheme != "wss":
		return Listener{}, fmt.Errorf("%q is neither host:port nor begins with ws://", s)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return Listener{}, fmt.Errorf("%q must be a host, a port and a path alone", s)
	}
	return Listener{Address: u.Host, WebSocket: true, Path: u.Path, secure: u.Scheme == "wss"}, checkAddress(u.Host, s)
}

func checkAddress(address, shown string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not host:port", shown)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port from 0 to 65535", shown)
	}
	return nil
}

// Schemes of the URL of a site broker.
const (
	schemePlain  = "mqtt"
	schemeTLS    = "mqtts"
	schemeWS     = "ws"
	schemeWSS    = "wss"
	schemeAdvice = "write mqtt://host:port or mqtts://host:port, as mqtt://10.0.0.9:1883; or ws:// or wss:// with a path"
)

// Secure reports whether a URL of a site broker asks for TLS.
func Secure(u *url.URL) bool { return u.Scheme == schemeTLS || u.Scheme == schemeWSS }

// WebSocket reports whether a URL of a site broker asks for WebSocket.
func WebSocket(u *url.URL) bool { return u.Scheme == schemeWS || u.Scheme == schemeWSS }

// ParseURL reads the URL of a site broker.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not a URL", s)
	case !slices.Contains([]string{schemePlain, schemeTLS, schemeWS, schemeWSS}, u.Scheme):
		return nil, fmt.Errorf("%q does not begin with mqtt://, mqtts://, ws:// or wss://", s)
	case u.User != nil:
		return nil, errors.New("a user name in a URL would be seen in logs: use username and password_file")
	case u.Hostname() == "" || u.Fragment != "" || !WebSocket(u) && (u.Path != "" || u.RawQuery != ""):
		return nil, fmt.Errorf("%q must be a host and a port alone", s)
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return nil, fmt.Errorf("%q has no port", s)
	}
	return u, nil
}
