package uplink

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"fieldbridge/setting"
)

// Limits of AWS IoT Core ("AWS IoT Core message broker and protocol limits and
// quotas").
const (
	maxPacket    = 149504    // bytes of one MQTT 5 packet
	maxClientID  = 128       // bytes of UTF-8
	maxInFlight  = 100       // unacknowledged QoS 1 messages
	maxMessages  = 100       // per second on one connection
	maxBytes     = 512 << 10 // per second on one connection
	minKeepAlive = 30 * time.Second
	maxKeepAlive = 1200 * time.Second
)

// Config is the part of northbound.awsiot that is about the session.
type Config struct {
	// Endpoint is the data endpoint of the AWS account, host or host:port. The
	// port is 8883 unless given; 443 speaks ALPN x-amzn-mqtt-ca.
	Endpoint string `yaml:"endpoint"`
	// ServerName is the name in the server's certificate, also sent as SNI. The
	// default is the endpoint's host.
	ServerName string `yaml:"server_name"`
	// ClientID is the MQTT client id, at most 128 bytes. The default is the
	// gateway's name. Two gateways with one client id throw each other out.
	ClientID string `yaml:"client_id"`
	// Certificate is a PEM file with the gateway's certificate, followed by
	// intermediate ones if there are.
	Certificate setting.Path `yaml:"certificate"`
	// PrivateKey is a PEM file with its key: PKCS#1, PKCS#8 or SEC 1; RSA or
	// ECDSA.
	PrivateKey setting.Path `yaml:"private_key"`
	// CA is a PEM file with the roots that may vouch for the server. The default
	// are Amazon Root CA 1 to 4 and Starfield Services G2, built in.
	CA setting.Path `yaml:"ca"`
	// Proxy is the URL of a proxy to go through: http://host:3128, by CONNECT,
	// or socks5://host:1080; user@ before the host if it asks for one, and
	// proxy_password_file. The default is none; the environment is not asked.
	Proxy string `yaml:"proxy"`
	// ProxyPasswordFile holds the password for the proxy on its first line; the
	// user's name stands in proxy, as http://user@host:3128.
	ProxyPasswordFile setting.Path `yaml:"proxy_password_file"`
	// Window is the most messages in flight, 1 to 100.
	Window int `yaml:"window"`
	// Rate is the most that is published per second.
	Rate Rate `yaml:"rate"`
	// AckTimeout is how long the cloud may acknowledge nothing while messages
	// are in flight, before the connection is given up.
	AckTimeout setting.Duration `yaml:"ack_timeout"`
	// KeepAlive is the longest silence before the connection is probed, 30s to
	// 1200s.
	KeepAlive setting.Duration `yaml:"keep_alive"`
	// ConnectTimeout is for all of one attempt to connect: name, TCP, TLS and
	// MQTT.
	ConnectTimeout setting.Duration `yaml:"connect_timeout"`
	// Backoff is how long to wait between attempts to connect.
	Backoff Backoff `yaml:"backoff"`
}

// Rate is a limit per second. AWS allows 100 messages and 512 KiB per second on
// one connection, in both directions together; 0 lifts a limit, for a broker
// that is not AWS's.
type Rate struct {
	// Messages is the most messages per second, 1 to 100; 0 means no limit.
	Messages float64 `yaml:"messages"`
	// Bytes is the most bytes per second, at most 512KiB; 0 means no limit.
	Bytes setting.Size `yaml:"bytes"`
}

// Backoff is how long to wait between attempts to connect that the cloud
// refuses: it doubles from min to 8s, stays there for 30 attempts, which is two
// minutes, and then doubles to max; a random part of it is waited. A port that does
// not answer is tried every one to two seconds instead.
type Backoff struct {
	// Min is the first wait, at least 1s: AWS takes one CONNECT per second. After
	// a start the gateway connects within min.
	Min setting.Duration `yaml:"min"`
	// Max is the longest wait.
	Max setting.Duration `yaml:"max"`
	// Gateways is how many may lose the cloud together, 1 to 1000000: their first
	// CONNECTs after that are spread over gateways/233 seconds, at least 2s and
	// min, less than half of the 500 per second that AWS takes of an account. In a
	// fleet file of more than 500 it is their number unless given.
	Gateways int `yaml:"gateways"`
}

// SetDefaults sets what is used where the file says nothing. The client id and
// the server name follow from other keys.
func (c *Config) SetDefaults() {
	*c = Config{
		Window:         20,
		Rate:           Rate{Messages: 80, Bytes: 400 << 10},
		AckTimeout:     setting.Duration(30 * time.Second),
		KeepAlive:      setting.Duration(60 * time.Second),
		ConnectTimeout: setting.Duration(15 * time.Second),
		Backoff:        Backoff{Min: setting.Duration(time.Second), Max: setting.Duration(2 * time.Minute), Gateways: 1},
	}
}

// Validate returns what is wrong with c for a gateway of that name. That the files of
// an identity are named is not its business.
func (c *Config) Validate(gateway string) setting.Found {
	v := &validator{gateway: gateway}
	v.session(c)
	v.limits(c)
	return v.Found
}

type validator struct {
	setting.Found
	gateway string
}

func (v *validator) session(c *Config) {
	if c.Endpoint == "" {
		v.Add("there is no endpoint", "give the account's data endpoint, as `aws iot describe-endpoint --endpoint-type "+
			"iot:Data-ATS` prints it", "endpoint")
	} else if _, _, err := splitEndpoint(c.Endpoint); err != nil {
		v.Add(err.Error(), "write it as host or host:port", "endpoint")
	}
	if c.Proxy != "" {
		if _, err := parseProxy(c.Proxy); err != nil {
			v.Add(err.Error(), "use http://host:port or socks5://host:port", "proxy")
		}
	}
	v.proxyPassword(c)
	if id := c.ClientID; len(id) > maxClientID || strings.HasPrefix(id, "$") {
		v.Add(fmt.Sprintf("AWS refuses the client id %q", id), "use at most 128 bytes, not beginning with $", "client_id")
	} else if strings.ContainsAny(id, "#+") {
		v.Warn("AWS sends no connect and disconnect events for client ids with # or +", "leave them out", "client_id")
	}
	// A variable that is not known has its own words.
	if c.ClientID == "" && !strings.Contains(v.gateway, "${") &&
		(len(v.gateway) > maxClientID || strings.HasPrefix(v.gateway, "$")) {
		v.Add(fmt.Sprintf("AWS refuses the gateway's name %q as client id", v.gateway),
			"give a client_id of at most 128 bytes, not beginning with $", "client_id")
	}
}

// proxyPassword checks where the proxy's password is.
func (v *validator) proxyPassword(c *Config) {
	var who *url.Userinfo
	if u, err := parseProxy(c.Proxy); err == nil {
		who = u.User
	} else if c.Proxy != "" {
		return // told already
	}
	_, inURL := who.Password()
	switch {
	case c.ProxyPasswordFile == "" && inURL:
		v.Warn("the proxy's password stands in the configuration", "put it into a file and name that in "+
			"proxy_password_file", "proxy")
	case c.ProxyPasswordFile == "":
	case inURL:
		v.Add("the proxy's password is given twice", "remove it from proxy", "proxy_password_file")
	case who.Username() == "":
		v.Add("the proxy's password is nobody's", "write proxy: http://user@host:port", "proxy_password_file")
	}
}

func (v *validator) limits(c *Config) {
	setting.Between(&v.Found, c.Window, 1, maxInFlight, "window")
	v.rate(c.Rate.Messages == 0, c.Rate.Messages, 1, maxMessages, "messages")
	v.rate(c.Rate.Bytes == 0, float64(c.Rate.Bytes), 4<<10, maxBytes, "bytes")
	v.Within(c.AckTimeout, time.Second, 10*time.Minute, "ack_timeout")
	v.Within(c.KeepAlive, minKeepAlive, maxKeepAlive, "keep_alive")
	v.Within(c.ConnectTimeout, time.Second, 5*time.Minute, "connect_timeout")
	setting.Between(&v.Found, c.Backoff.Gateways, 1, 1_000_000, "backoff", "gateways")
	v.Within(c.Backoff.Min, time.Second, time.Hour, "backoff", "min")
	v.Within(c.Backoff.Max, c.Backoff.Min.D(), 24*time.Hour, "backoff", "max")
}

// rate checks a limit that may be lifted, for brokers that are not AWS's.
func (v *validator) rate(lifted bool, value, low, high float64, key string) {
	if !lifted {
		setting.Between(&v.Found, value, low, high, "rate", key)
		return
	}
	v.Warn("there is no limit", "give one for AWS IoT Core, which discards what is above its own", "rate", key)
}
