package console

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"strings"

	"fieldbridge/setting"
)

// Config is what a configuration file says under console.
type Config struct {
	// Listen is the address and port of the console, as 127.0.0.1:8080. Without
	// it there is none.
	Listen string `yaml:"listen"`
	// Hosts are names by which browsers may ask for the console, besides its
	// addresses, localhost and the machine's own name.
	Hosts []string `yaml:"hosts"`
	// TLS makes the console speak https.
	TLS *TLS `yaml:"tls"`
	// PasswordFile has NAME:HASH of each person who may look, one a line, as
	// mosquitto_passwd or 'fieldbridge sensors password' writes the hash. Without it everyone
	// who reaches the console may look.
	PasswordFile setting.Path `yaml:"password_file"`
	// TokenFile has on its first line the bearer token with which programs ask for /metrics and
	// /healthz.
	TokenFile setting.Path `yaml:"token_file"`
	// Healthz says what makes /healthz answer with an error, 503.
	Healthz *Healthz `yaml:"healthz"`
	// Insecure lets passwords and tokens cross a network unencrypted.
	Insecure bool `yaml:"insecure"`
}

// TLS is the encryption of the console. The files are read again when they change.
type TLS struct {
	// Certificate is a PEM file, with the intermediates after it.
	Certificate setting.Path `yaml:"certificate"`
	// PrivateKey is the PEM file of its key.
	PrivateKey setting.Path `yaml:"private_key"`
}

// Validate returns what is wrong with c.
func (c *Config) Validate() []setting.Problem {
	var found setting.Found
	c.Healthz.check(&found)
	if c.Listen == "" {
		if c.TLS != nil || c.PasswordFile != "" || c.TokenFile != "" {
			found.Add("the console has no address", "add listen: 127.0.0.1:8080", "listen")
		}
		return found
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || port == "" {
		found.Add(fmt.Sprintf("%q is not an address with a port", c.Listen),
			"write it as 127.0.0.1:8080, or :8080 for all addresses", "listen")
		return found
	}
	if c.TLS != nil && (c.TLS.Certificate == "" || c.TLS.PrivateKey == "") {
		found.Add("tls needs certificate and private_key", "name two PEM files", "tls")
	}
	c.checkReach(&found, isLoopback(host))
	for i, name := range c.Hosts {
		if name == "" || strings.ContainsAny(name, "/:* ") {
			found.Add(fmt.Sprintf("%q is not a host's name", name),
				"write the name alone, as gateway-7.plant.example, without http:// or a port", "hosts", strconv.Itoa(i))
		}
	}
	return found
}

// checkReach looks at who reaches the console, and what crosses the network then.
func (c *Config) checkReach(found *setting.Found, loopback bool) {
	if loopback {
		return
	}
	if c.PasswordFile == "" {
		found.Warn("the console can be reached from the network, and it shows everyone who asks what this gateway reads",
			"listen on 127.0.0.1, or let people log in: password_file, with tls", "listen")
	}
	if c.TLS != nil || c.Insecure {
		return
	}
	const fix = "add tls, or listen on 127.0.0.1, or say insecure: true"
	if c.PasswordFile != "" {
		found.Add("passwords would cross the network unencrypted", fix, "password_file")
	}
	if c.TokenFile != "" {
		found.Add("the token would cross the network unencrypted", fix, "token_file")
	}
}

// Equal reports whether c says the same as other.
func (c Config) Equal(other Config) bool { return reflect.DeepEqual(c, other) }

// isLoopback reports whether only this machine reaches what listens on host.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || host == "localhost"
}
