package modbus

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// address is where a bus is: the same address is the same bus.
type address struct {
	scheme string // tcp, tls, rtu or rtu+tcp
	host   string // host:port, or the path of a serial port
}

// String writes a as a URL.
func (a address) String() string { return a.scheme + "://" + a.host }

// rtu reports whether frames have a CRC and no transaction id.
func (a address) rtu() bool { return a.scheme == "rtu" || a.scheme == "rtu+tcp" }

// parseURL reads the URL of a bus.
func parseURL(s string) (address, error) {
	u, err := url.Parse(s)
	if err != nil {
		return address{}, fmt.Errorf("%q is no URL of a bus", s)
	}
	port, known := ports[u.Scheme]
	switch {
	case u.Scheme == "" || u.Opaque != "":
		return address{}, fmt.Errorf("%q is no URL of a bus", s)
	case !known:
		return address{}, fmt.Errorf("%q is no kind of bus", u.Scheme)
	case u.RawQuery != "" || u.User != nil || u.Fragment != "":
		return address{}, fmt.Errorf("%q has more than a place", s)
	case u.Scheme == "rtu":
		if u.Host != "" || len(u.Path) < 2 {
			return address{}, fmt.Errorf("%q names no serial port", s)
		}
		return address{"rtu", path.Clean(u.Path)}, nil
	case u.Hostname() == "" || u.Path != "":
		return address{}, fmt.Errorf("%q is no host and port", s)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return address{}, fmt.Errorf("%q has no port from 1 to 65535", s)
	}
	return address{u.Scheme, net.JoinHostPort(strings.ToLower(u.Hostname()), port)}, nil
}

// ports are the kinds of buses and their ports, "" where there is no usual one.
var ports = map[string]string{"tcp": "502", "tls": "802", "rtu": "", "rtu+tcp": ""}

// urlFix says how to write the URL of a bus.
const urlFix = "write tcp://HOST[:PORT], tls://HOST[:PORT], rtu:///dev/ttyUSB0 or rtu+tcp://HOST:PORT"
