package modbus

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// address is where a bus is: the same address is the same bus.
type address struct {
	scheme string // tcp
	host   string // host:port
}

// String writes a as a URL.
func (a address) String() string { return a.scheme + "://" + a.host }

// parseURL reads tcp://HOST[:PORT].
func parseURL(s string) (address, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return address{}, fmt.Errorf("%q is no URL of a bus", s)
	}
	if u.Scheme != "tcp" {
		return address{}, fmt.Errorf("%q is no kind of bus", u.Scheme)
	}
	if u.Path != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
		return address{}, fmt.Errorf("%q has more than a host and a port", s)
	}
	port := u.Port()
	if port == "" {
		port = "502"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return address{}, fmt.Errorf("%q is no port", port)
	}
	return address{"tcp", net.JoinHostPort(strings.ToLower(u.Hostname()), port)}, nil
}
