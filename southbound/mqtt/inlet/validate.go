package inlet

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"

	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/topic"
)

// Validate returns everything that is wrong with b.
func (b Broker) Validate() []setting.Problem {
	var r setting.Problems
	embedded := b.Listen != "" || b.TLS != nil && b.TLS.Listen != ""
	switch {
	case embedded && b.URL != "":
		r.AddOnKey("the broker has both listen and url", "make two brokers of it", "url")
	case embedded:
		b.validateEmbedded(&r)
	case b.URL != "":
		b.validateSite(&r)
	default:
		r.AddOnKey("the broker has neither listen nor url", "give listen for the embedded broker, or url for one of the site")
	}
	return r
}

func (b Broker) validateEmbedded(r *setting.Problems) {
	r.Misplaced(map[string]bool{"client_id": b.ClientID != "", "username": b.Username != "",
		"password_file": b.PasswordFile != ""}, " is for a broker with url")
	if b.Listen != "" {
		b.validateListen(r, b.Listen, "listen")
	}
	if t := b.TLS; t != nil {
		if t.Listen == "" {
			r.AddOnKey("tls of the embedded broker has no listen",
				`give the address for sensors that encrypt, as listen: "127.0.0.1:8883"`, "tls")
		} else {
			b.validateListen(r, t.Listen, "tls", "listen")
		}
		if t.Listen != "" && (t.Certificate == "" || t.PrivateKey == "") {
			r.AddOnKey("tls of the embedded broker needs certificate and private_key", "name two PEM files", "tls")
		}
		r.Misplaced(map[string]bool{"server_name": t.ServerName != ""}, " is for a broker with url", "tls")
	}
	if b.MaxMessage != 0 && (b.MaxMessage < 1<<10 || b.MaxMessage > 16<<20) {
		r.Add(fmt.Sprintf("max_message is %s", b.MaxMessage), "use 1KiB to 16MiB", "max_message")
	}
	if b.MaxClients < 0 || b.MaxClients > 100000 {
		r.Add(fmt.Sprintf("max_clients is %d", b.MaxClients), "use 1 to 100000", "max_clients")
	}
	for _, name := range slices.Sorted(maps.Keys(b.Users)) {
		u := b.Users[name]
		if u.PasswordFile == "" {
			r.AddOnKey("the user has no password_file", "name a file with the password on its first line", "users", name)
		}
		for i, t := range u.Topics {
			if _, err := topic.Parse(t); err != nil {
				r.Add(err.Error(), `write it as "hall/#"`, "users", name, "topics", strconv.Itoa(i))
			}
		}
	}
}

// validateListen checks an address, and that not everybody on the network can
// make up readings.
func (b Broker) validateListen(r *setting.Problems, address string, path ...string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		r.Add(fmt.Sprintf("%q is not host:port", address), `write host:port, as "127.0.0.1:1883"`, path...)
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		r.Add(fmt.Sprintf("%q has no port from 0 to 65535", address), `write host:port, as "127.0.0.1:1883"`, path...)
		return
	}
	guarded := b.Anonymous || len(b.Users) > 0 || b.TLS != nil && b.TLS.CA != "" && path[0] == "tls"
	ip := net.ParseIP(host)
	beyond := host != "localhost" && (ip == nil || !ip.IsLoopback())
	if beyond && path[0] != "tls" {
		*r = append(*r, setting.Problem{Path: path, Warning: true,
			Text: fmt.Sprintf("readings and passwords travel to %s in clear text", address),
			Fix:  "let sensors use tls: listen, or see that nobody else is on that network"})
	}
	if !guarded && beyond {
		r.Add(fmt.Sprintf("anyone who reaches %s could publish readings, since the broker has no users", address),
			"add users, or listen on 127.0.0.1, or set anonymous: true if that is meant", path...)
	}
}

func (b Broker) validateSite(r *setting.Problems) {
	secure, err := checkURL(b.URL)
	if err != nil {
		r.Add(err.Error(), "write mqtt://host:port or mqtts://host:port, as mqtt://10.0.0.9:1883", "url")
	}
	if b.PasswordFile != "" && b.Username == "" {
		r.AddOnKey("there is a password_file but no username", "add username", "password_file")
	}
	r.Misplaced(map[string]bool{"anonymous": b.Anonymous, "users": len(b.Users) > 0, "max_message": b.MaxMessage != 0,
		"max_clients": b.MaxClients != 0},
		" is for the embedded broker")
	t := b.TLS
	if t == nil || err != nil {
		return
	}
	if !secure {
		r.AddOnKey("tls needs a url that begins with mqtts://", "change url, or remove tls", "tls")
	}
	if (t.Certificate == "") != (t.PrivateKey == "") {
		r.AddOnKey("certificate and private_key go together", "name both files", "tls")
	}
}

// checkURL reports whether s asks for TLS.
func checkURL(s string) (secure bool, err error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return false, fmt.Errorf("%q is not a URL", s)
	case u.Scheme != "mqtt" && u.Scheme != "mqtts":
		return false, fmt.Errorf("%q does not begin with mqtt:// or mqtts://", s)
	case u.User != nil:
		return false, errors.New("a user name in a URL would be seen in logs: use username and password_file")
	case u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "":
		return false, fmt.Errorf("%q must be a host and a port alone", s)
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return false, fmt.Errorf("%q has no port", s)
	}
	return u.Scheme == "mqtts", nil
}
