package wire

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// Address is where a bus is: the same address is the same bus.
type Address struct {
	Scheme string // tcp, tls, rtu or rtu+tcp
	Host   string // host:port, or the path of a serial port
}

// String writes a as a URL.
func (a Address) String() string { return a.Scheme + "://" + a.Host }

// RTU reports whether frames have a CRC and no transaction id.
func (a Address) RTU() bool { return a.Scheme == "rtu" || a.Scheme == "rtu+tcp" }

// ParseURL reads the URL of a bus.
func ParseURL(s string) (Address, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Address{}, fmt.Errorf("%q is not a URL of a bus", s)
	}
	port, known := ports[u.Scheme]
	switch {
	case u.Scheme == "" || u.Opaque != "":
		return Address{}, fmt.Errorf("%q is not a URL of a bus", s)
	case !known:
		return Address{}, fmt.Errorf("%q is not a kind of bus", u.Scheme)
	case u.RawQuery != "" || u.User != nil || u.Fragment != "":
		return Address{}, fmt.Errorf("%q has more than a place", s)
	case u.Scheme == "rtu":
		if u.Host != "" || len(u.Path) < 2 {
			return Address{}, fmt.Errorf("%q does not name a serial port", s)
		}
		return Address{"rtu", path.Clean(u.Path)}, nil
	case u.Hostname() == "" || u.Path != "":
		return Address{}, fmt.Errorf("%q is not a host and port", s)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Address{}, fmt.Errorf("%q has no port from 1 to 65535", s)
	}
	return Address{u.Scheme, net.JoinHostPort(strings.ToLower(u.Hostname()), port)}, nil
}

// ports are the kinds of buses and their ports, "" where there is no usual one.
var ports = map[string]string{"tcp": "502", "tls": "802", "rtu": "", "rtu+tcp": ""}
