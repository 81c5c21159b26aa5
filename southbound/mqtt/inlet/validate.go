package inlet

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"fieldbridge/setting"
	"fieldbridge/southbound/mqtt/topic"
)

// Validate returns everything that is wrong with b.
func (b Broker) Validate() []setting.Problem {
	var r setting.Problems
	embedded := len(b.Listen) > 0 || b.TLS != nil && len(b.TLS.Listen) > 0
	switch {
	case embedded && len(b.URL) > 0:
		r.AddOnKey("the broker has both listen and url", "make two brokers of it", "url")
	case embedded:
		b.validateEmbedded(&r)
	case len(b.URL) > 0:
		b.validateSite(&r)
	default:
		r.AddOnKey("the broker has neither listen nor url", "give listen for the embedded broker, or url for one of the site")
	}
	return r
}

func (b Broker) validateEmbedded(r *setting.Problems) {
	r.Misplaced(map[string]bool{"client_id": b.ClientID != "", "username": b.Username != "",
		"password_file": b.PasswordFile != ""}, " is for a broker with url")
	b.validatePublish(r)
	for i, address := range b.Listen {
		b.validateListen(r, address, b.Listen.path(i, "listen")...)
	}
	if t := b.TLS; t != nil {
		if len(t.Listen) == 0 {
			r.AddOnKey("tls of the embedded broker has no listen",
				`give the address for sensors that encrypt, as listen: "127.0.0.1:8883"`, "tls")
		}
		for i, address := range t.Listen {
			b.validateListen(r, address, t.Listen.path(i, "tls", "listen")...)
		}
		if len(t.Listen) > 0 && (t.Certificate == "" || t.PrivateKey == "") {
			r.AddOnKey("tls of the embedded broker needs certificate and private_key", "name two PEM files", "tls")
		}
		r.Misplaced(map[string]bool{"server_name": t.ServerName != "", "fingerprint": t.Fingerprint != ""},
			" is for a broker with url", "tls")
	}
	if b.MaxMessage != 0 && (b.MaxMessage < 1<<10 || b.MaxMessage > 16<<20) {
		r.Add(fmt.Sprintf("max_message is %s", b.MaxMessage), "use 1KiB to 16MiB", "max_message")
	}
	if b.MaxClients < 0 || b.MaxClients > 100000 {
		r.Add(fmt.Sprintf("max_clients is %d", b.MaxClients), "use 1 to 100000", "max_clients")
	}
	for i, origin := range b.Origins {
		if u, err := url.Parse(origin); origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Path != "") {
			r.Add(fmt.Sprintf("%q is not the origin of a page", origin), "write it as https://panel.example:8443",
				"origins", strconv.Itoa(i))
		}
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

// maxPayload is how long a message that is sent at intervals may be, in bytes.
const maxPayload = 64 << 10

// path is where the address with a number is in the configuration: a list of one
// may be written without one.
func (a Addresses) path(i int, key ...string) []string {
	if len(a) == 1 {
		return key
	}
	return append(key, strconv.Itoa(i))
}

// validateListen checks an address, and that not everybody on the network can
// make up readings.
func (b Broker) validateListen(r *setting.Problems, address string, path ...string) {
	l, err := ParseListener(address)
	switch {
	case err != nil:
		r.Add(err.Error(), `write host:port, as "127.0.0.1:1883"; or "ws://127.0.0.1:8083/mqtt" for WebSocket`, path...)
		return
	case l.secure && path[0] != "tls":
		r.Add(fmt.Sprintf("%q needs a certificate", address), "write it under tls: listen", path...)
		return
	case l.WebSocket && !l.secure && path[0] == "tls":
		r.Add(fmt.Sprintf("%q is without TLS", address), "begin it with wss://", path...)
		return
	}
	host, _, _ := net.SplitHostPort(l.Address) // it was looked at
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
	secure, wrong := 0, false
	for i, address := range b.URL {
		u, err := ParseURL(address)
		switch {
		case err != nil:
			r.Add(err.Error(), schemeAdvice, b.URL.path(i, "url")...)
			wrong = true
		case slices.Contains(b.URL[:i], address):
			r.Add(fmt.Sprintf("%q is there twice", address), "remove one", b.URL.path(i, "url")...)
		case Secure(u):
			secure++
		}
	}
	if b.PasswordFile != "" && b.Username == "" {
		r.AddOnKey("there is a password_file but no username", "add username", "password_file")
	}
	b.validatePublish(r)
	b.validateTrust(r, secure, wrong)
}

// validatePublish checks the messages that are sent at intervals.
func (b Broker) validatePublish(r *setting.Problems) {
	for i, p := range b.Publish {
		at := []string{"publish", strconv.Itoa(i)}
		if p.Topic == "" || len(p.Topic) > MaxTopic || strings.ContainsAny(p.Topic, "+#\x00") || !utf8.ValidString(p.Topic) {
			r.Add(fmt.Sprintf("%.40q is not the topic of a message", p.Topic), `write it as "R/c0619ab1/keepalive"`,
				append(at, "topic")...)
		}
		if p.Every.D() < time.Second {
			r.Add(fmt.Sprintf("every is %s", p.Every), "use 1s or more", append(at, "every")...)
		}
		if len(p.Payload) > maxPayload {
			r.Add(fmt.Sprintf("the payload has %d bytes", len(p.Payload)), "use 64 KiB at most", append(at, "payload")...)
		}
	}
}

// validateTrust checks how a broker of the site is trusted, of whose addresses some are
// secure.
func (b Broker) validateTrust(r *setting.Problems, secure int, wrong bool) {
	r.Misplaced(map[string]bool{"anonymous": b.Anonymous, "users": len(b.Users) > 0,
		"origins":     len(b.Origins) > 0,
		"max_message": b.MaxMessage != 0,
		"max_clients": b.MaxClients != 0},
		" is for the embedded broker")
	t := b.TLS
	if t == nil || wrong {
		return
	}
	if secure == 0 {
		r.AddOnKey("tls needs a url that begins with mqtts:// or wss://", "change url, or remove tls", "tls")
	}
	if text, fix := t.Fingerprint.Wrong(t.CA, t.ServerName); text != "" {
		r.Add(text, fix, "tls", "fingerprint")
	}
	if (t.Certificate == "") != (t.PrivateKey == "") {
		r.AddOnKey("certificate and private_key go together", "name both files", "tls")
	}
}
