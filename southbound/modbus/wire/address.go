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
	Scheme string // tcp, tls, udp, rtu, rtu+tcp, ascii or ascii+tcp
	Host   string // host:port, or the path of a serial port
}

// String writes a as a URL.
func (a Address) String() string { return a.Scheme + "://" + a.Host }

// Numbered reports whether requests have transaction ids, which answers repeat;
// otherwise the bus is a line, or a converter to one, and has one request at a time.
func (a Address) Numbered() bool { return a.Scheme == "tcp" || a.Scheme == "tls" || a.Scheme == "udp" }

// ASCII reports whether frames are characters.
func (a Address) ASCII() bool { return a.Scheme == "ascii" || a.Scheme == "ascii+tcp" }

// Serial reports whether a is a serial port of this machine.
func (a Address) Serial() bool { return a.Scheme == "rtu" || a.Scheme == "ascii" }

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
	case Address{Scheme: u.Scheme}.Serial():
		if u.Host != "" || len(u.Path) < 2 {
			return Address{}, fmt.Errorf("%q does not name a serial port", s)
		}
		return Address{u.Scheme, path.Clean(u.Path)}, nil
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
var ports = map[string]string{"tcp": "502", "tls": "802", "udp": "502", "rtu": "", "rtu+tcp": "", "ascii": "",
	"ascii+tcp": ""}
