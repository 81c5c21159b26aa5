package awsiot

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"fieldbridge/setting"
)

// Limits of AWS IoT Core ("AWS IoT Core message broker and protocol limits and
// quotas").
const (
	maxPayload    = 128 << 10 // bytes of one message's payload
	maxPacket     = 149504    // bytes of one MQTT 5 packet
	maxTopic      = 256       // bytes of UTF-8
	maxSlashes    = 7         // in a topic
	maxClientID   = 128       // bytes of UTF-8
	maxInFlight   = 100       // unacknowledged QoS 1 messages
	maxMessages   = 100       // per second on one connection
	maxBytes      = 512 << 10 // per second on one connection
	minKeepAlive  = 30 * time.Second
	maxKeepAlive  = 1200 * time.Second
	longestDevice = 64 // bytes, by bridge.ValidDevice
	minMessage    = 1024
)

// Validate returns what is wrong with c for a gateway of that name, with those
// labels, if any.
func (c *Config) Validate(gateway string, labels ...map[string]string) []setting.Problem {
	v := &validator{gateway: gateway, labels: make(map[string]string)}
	for _, l := range labels {
		maps.Copy(v.labels, l)
	}
	v.session(c)
	v.topics(c)
	v.limits(c)
	return v.problems
}

type validator struct {
	gateway  string
	labels   map[string]string
	problems []setting.Problem
}

func (v *validator) add(text, fix string, path ...string) {
	v.problems = append(v.problems, setting.Problem{Path: path, Text: text, Fix: fix})
}

func (v *validator) session(c *Config) {
	if c.Endpoint == "" {
		v.add("there is no endpoint", "give the account's data endpoint, as `aws iot describe-endpoint --endpoint-type iot:Data-ATS` prints it", "endpoint")
	} else if _, _, err := splitEndpoint(c.Endpoint); err != nil {
		v.add(err.Error(), "write it as host or host:port", "endpoint")
	}
	if c.Certificate == "" {
		v.add("there is no certificate", "AWS IoT knows a gateway by its certificate: give its PEM file", "certificate")
	}
	if c.PrivateKey == "" {
		v.add("there is no private_key", "give the PEM file with the certificate's key", "private_key")
	}
	if c.Proxy != "" {
		if _, err := parseProxy(c.Proxy); err != nil {
			v.add(err.Error(), "use http://host:port or socks5://host:port", "proxy")
		}
	}
	if id := c.ClientID; len(id) > maxClientID || strings.HasPrefix(id, "$") {
		v.add(fmt.Sprintf("AWS refuses the client id %q", id), "use at most 128 bytes, not beginning with $", "client_id")
	} else if strings.ContainsAny(id, "#+") {
		v.problems = append(v.problems, setting.Problem{Path: []string{"client_id"}, Warning: true,
			Text: "AWS sends no connect and disconnect events for client ids with # or +", Fix: "leave them out"})
	}
	if c.ClientID == "" && (len(v.gateway) > maxClientID || strings.HasPrefix(v.gateway, "$")) {
		v.add(fmt.Sprintf("AWS refuses the gateway's name %q as client id", v.gateway), "give a client_id of at most 128 bytes, not beginning with $", "client_id")
	}
}

func (v *validator) topics(c *Config) {
	if c.Topic == "" {
		v.add("there is no topic", "say where readings go, for instance plant/{gateway}", "topic")
	} else {
		v.topic(c.Topic, true, "topic")
	}
	for _, r := range c.BasicIngest {
		if r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			v.add(fmt.Sprintf("%q cannot be the name of a rule", c.BasicIngest), "use letters, digits and _", "basic_ingest")
			break
		}
	}
	if c.Commands.Topic != "" {
		v.topic(c.Commands.Topic, false, "commands", "topic")
	}
	if c.StatusTopic != "" {
		v.topic(c.StatusTopic, false, "status_topic")
	}
}

// topic checks one template. AWS counts bytes after replacement, so the longest
// possible device counts.
func (v *validator) topic(text string, device bool, key ...string) {
	t, err := parseTopic(text, v.gateway, v.labels)
	if err != nil {
		v.add(err.Error(), "use {gateway}, {device} and {label.NAME} only", key...)
		return
	}
	if t.hasDevice() && !device {
		v.add("{device} has no meaning in this topic", "use {gateway} and {label.NAME} only", key...)
		return
	}
	longest := t.fill(strings.Repeat("d", longestDevice))
	switch {
	case strings.ContainsAny(longest, "#+"):
		v.add("a topic to publish to has no wildcards", "remove # and +", key...)
	case strings.ContainsRune(longest, 0):
		v.add("a topic cannot have a zero byte", "remove it", key...)
	case strings.HasPrefix(longest, "$"):
		v.add("topics that begin with $ are reserved by AWS", "begin with a letter", key...)
	case len(longest) > maxTopic:
		v.add(fmt.Sprintf("the topic can become %d bytes long, AWS allows %d", len(longest), maxTopic), "shorten it", key...)
	case strings.Count(longest, "/") > maxSlashes:
		v.add(fmt.Sprintf("the topic has %d slashes, AWS allows %d", strings.Count(longest, "/"), maxSlashes), "use fewer levels", key...)
	}
}

func (v *validator) limits(c *Config) {
	between(v, int64(c.MaxMessage), minMessage, maxPayload, "max_message")
	if c.Format != Rows && c.Format != Columns && c.Format != Flat {
		v.add(fmt.Sprintf("%q is no format", c.Format), "use rows, columns or flat", "format")
	}
	if c.Order != LiveFirst && c.Order != OldestFirst {
		v.add(fmt.Sprintf("%q is no order", c.Order), "use live-first or oldest-first", "order")
	}
	if c.LiveShare < 0.01 || c.LiveShare > 0.99 {
		v.add(c.LiveShare.String()+" is out of range", "use 1% to 99%: both lanes must move", "live_share")
	}
	between(v, c.Window, 1, maxInFlight, "window")
	v.rate(c.Rate.Messages == 0, c.Rate.Messages, 1, maxMessages, "messages")
	v.rate(c.Rate.Bytes == 0, float64(c.Rate.Bytes), 4<<10, maxBytes, "bytes")
	within(v, c.Linger, 0, time.Hour, "linger")
	within(v, c.AckTimeout, time.Second, 10*time.Minute, "ack_timeout")
	within(v, c.KeepAlive, minKeepAlive, maxKeepAlive, "keep_alive")
	within(v, c.ConnectTimeout, time.Second, 5*time.Minute, "connect_timeout")
	within(v, c.Commands.MaxAge, time.Second, time.Hour, "commands", "max_age")
	if c.Commands.Desired && c.Shadow.Name == "" {
		v.add("there is no shadow to take commands from", "give shadow: {name: gateway}, or leave desired out", "commands", "desired")
	}
	within(v, c.Shadow.Every, 10*time.Second, 24*time.Hour, "shadow", "every")
	if n := c.Shadow.Name; len(n) > 64 || strings.ContainsFunc(n, func(r rune) bool { return !shadowRune(r) }) {
		v.add(fmt.Sprintf("%q cannot be the name of a shadow", n), "use at most 64 letters, digits, :, _ and -", "shadow", "name")
	}
	between(v, c.Backoff.Gateways, 1, 1_000_000, "backoff", "gateways")
	within(v, c.Backoff.Min, time.Second, time.Hour, "backoff", "min")
	within(v, c.Backoff.Max, c.Backoff.Min.D(), 24*time.Hour, "backoff", "max")
}

// rate checks a limit that may be lifted, for brokers that are not AWS's.
func (v *validator) rate(lifted bool, value, low, high float64, key string) {
	if !lifted {
		between(v, value, low, high, "rate", key)
		return
	}
	v.problems = append(v.problems, setting.Problem{Path: []string{"rate", key}, Warning: true,
		Text: "there is no limit", Fix: "give one for AWS IoT Core, which discards what is above its own"})
}

func between[T int | int64 | float64](v *validator, value, low, high T, path ...string) {
	if value < low || value > high {
		v.add(fmt.Sprintf("%v is out of range", value), fmt.Sprintf("use %v to %v", low, high), path...)
	}
}

func within(v *validator, value setting.Duration, low, high time.Duration, path ...string) {
	if value.D() < low || value.D() > high {
		v.add(value.String()+" is out of range", fmt.Sprintf("use %v to %v", setting.Duration(low), setting.Duration(high)), path...)
	}
}

func shadowRune(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == ':' || r == '_' || r == '-'
}
