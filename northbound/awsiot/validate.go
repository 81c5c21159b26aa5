package awsiot

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/payload"
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

// Validate returns what is wrong with c for a gateway of that name, with those
// labels, if any.
func (c *Config) Validate(gateway string, labels ...map[string]string) []setting.Problem {
	known := make(map[string]string)
	for _, l := range labels {
		maps.Copy(known, l)
	}
	v := &validator{gateway: gateway}
	v.session(c)
	v.Found = append(v.Found, c.Settings.Validate(gateway, known)...)
	if c.Commands.Topic != "" {
		v.Found = append(v.Found, payload.ValidateTopic(c.Commands.Topic, gateway, known, "commands", "topic")...)
	}
	if c.StatusTopic != "" {
		v.Found = append(v.Found, payload.ValidateTopic(c.StatusTopic, gateway, known, "status_topic")...)
	}
	v.limits(c)
	return v.Found
}

type validator struct {
	setting.Found
	gateway string
}

func (v *validator) session(c *Config) {
	if c.Endpoint == "" {
		v.Add("there is no endpoint", "give the account's data endpoint, as `aws iot describe-endpoint --endpoint-type iot:Data-ATS` prints it", "endpoint")
	} else if _, _, err := splitEndpoint(c.Endpoint); err != nil {
		v.Add(err.Error(), "write it as host or host:port", "endpoint")
	}
	if c.Certificate == "" {
		v.Add("there is no certificate", "AWS IoT knows a gateway by its certificate: give its PEM file", "certificate")
	}
	if c.PrivateKey == "" {
		v.Add("there is no private_key", "give the PEM file with the certificate's key", "private_key")
	}
	if c.Proxy != "" {
		if _, err := parseProxy(c.Proxy); err != nil {
			v.Add(err.Error(), "use http://host:port or socks5://host:port", "proxy")
		}
	}
	if id := c.ClientID; len(id) > maxClientID || strings.HasPrefix(id, "$") {
		v.Add(fmt.Sprintf("AWS refuses the client id %q", id), "use at most 128 bytes, not beginning with $", "client_id")
	} else if strings.ContainsAny(id, "#+") {
		v.Warn("AWS sends no connect and disconnect events for client ids with # or +", "leave them out", "client_id")
	}
	if c.ClientID == "" && (len(v.gateway) > maxClientID || strings.HasPrefix(v.gateway, "$")) {
		v.Add(fmt.Sprintf("AWS refuses the gateway's name %q as client id", v.gateway), "give a client_id of at most 128 bytes, not beginning with $", "client_id")
	}
}

func (v *validator) limits(c *Config) {
	if c.LiveShare < 0.01 || c.LiveShare > 0.99 {
		v.Add(c.LiveShare.String()+" is out of range", "use 1% to 99%: both lanes must move", "live_share")
	}
	setting.Between(&v.Found, c.Window, 1, maxInFlight, "window")
	v.rate(c.Rate.Messages == 0, c.Rate.Messages, 1, maxMessages, "messages")
	v.rate(c.Rate.Bytes == 0, float64(c.Rate.Bytes), 4<<10, maxBytes, "bytes")
	v.Within(c.AckTimeout, time.Second, 10*time.Minute, "ack_timeout")
	v.Within(c.KeepAlive, minKeepAlive, maxKeepAlive, "keep_alive")
	v.Within(c.ConnectTimeout, time.Second, 5*time.Minute, "connect_timeout")
	v.Within(c.Commands.MaxAge, time.Second, time.Hour, "commands", "max_age")
	if c.Commands.Desired && c.Shadow.Name == "" {
		v.Add("there is no shadow to take commands from", "give shadow: {name: gateway}, or leave desired out", "commands", "desired")
	}
	v.Within(c.Shadow.Every, 10*time.Second, 24*time.Hour, "shadow", "every")
	if n := c.Shadow.Name; len(n) > 64 || strings.ContainsFunc(n, func(r rune) bool { return !shadowRune(r) }) {
		v.Add(fmt.Sprintf("%q cannot be the name of a shadow", n), "use at most 64 letters, digits, :, _ and -", "shadow", "name")
	}
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

func shadowRune(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == ':' || r == '_' || r == '-'
}
