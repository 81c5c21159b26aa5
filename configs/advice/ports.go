package advice

import (
	"fmt"
	"maps"
	"net"
	"slices"

	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt"
	"fieldbridge/southbound/mqtt/inlet"
)

// Ports warns of two parts of one gateway that listen on the same port: sensors'
// brokers and the console. Paths begin at the root.
func Ports(c mqtt.Config, console string) (found setting.Found) {
	type listener struct {
		what, host, port string
	}
	var all []listener
	take := func(what, address string, path ...string) {
		host, port, err := net.SplitHostPort(address)
		if err != nil || port == "0" {
			return
		}
		for _, other := range all {
			if other.port == port && (other.host == host || anywhere(other.host) || anywhere(host)) {
				found.Warn(fmt.Sprintf("%s listens on port %s, too: one of them cannot", other.what, port),
					"give one of them another port", path...)
				return
			}
		}
		all = append(all, listener{what, host, port})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Brokers)) {
		b := c.Brokers[name]
		path := []string{"southbound", "mqtt", "brokers", name}
		for _, text := range b.Listen {
			if l, err := inlet.ParseListener(text); err == nil {
				take("broker "+name, l.Address, append(path, "listen")...)
			}
		}
		if b.TLS == nil {
			continue
		}
		for _, text := range b.TLS.Listen {
			if l, err := inlet.ParseListener(text); err == nil {
				take("broker "+name, l.Address, append(path, "tls", "listen")...)
			}
		}
	}
	take("the console", console, "console", "listen")
	return found
}

// anywhere reports whether who listens there takes the port of all addresses.
func anywhere(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
