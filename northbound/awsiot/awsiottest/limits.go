package awsiottest

import (
	"crypto/x509"
	"maps"
	"sync/atomic"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/rules"
)

// SetPolicy attaches a policy to a certificate, instead of those that the registry
// attaches to it. As with AWS it takes effect after a while: [Options.PolicyDelay].
func (c *Cloud) SetPolicy(certificateID string, p rules.Policy) {
	if c.options.PolicyDelay == 0 {
		c.registry.Override(certificateID, p)
		return
	}
	time.AfterFunc(c.options.PolicyDelay, func() { c.registry.Override(certificateID, p) })
}

// allowed decides about an action of a certificate's holder.
func (c *Cloud) allowed(who *principal, action, resource string) bool {
	if who.watches {
		return mayWatch(action)
	}
	now := c.registry.Holder(who.certificate, who.commonName, who.client)
	variables := now.Variables
	maps.Copy(variables, who.variables)
	return now.Policy.Allows(action, resource, variables)
}

// principal is who is at the other end of a connection.
type principal struct {
	certificate string // id
	commonName  string // of the certificate
	client      string // id
	thing       string // that it stands for, "" for none
	exclusive   bool   // the certificate is that thing's alone
	variables   map[string]string
	watches     bool // see Options.Watchers
}

func (c *Cloud) newPrincipal(leaf *x509.Certificate, client, address string) *principal {
	id, name := registry.CertificateID(leaf.Raw), leaf.Subject.CommonName
	h := c.registry.Holder(id, name, client)
	return &principal{certificate: id, commonName: name, client: client, thing: h.Thing, exclusive: h.Exclusive,
		variables: map[string]string{
			"iot:ClientId":                       client,
			"iot:Certificate.Subject.CommonName": name,
			"aws:SourceIp":                       address,
		}}
}

// Throttle is what happens to messages above 100 per second on a connection.
// AWS documents that they are discarded; MQTT 5 has a reason code for it.
type Throttle int

// The ways of throttling. With any but ThrottleOff also CONNECTs of a client id
// within a second are refused, and more than 512 KiB/s are slowed down.
const (
	ThrottleOff    Throttle = iota
	ThrottleDrop            // the message is discarded, no PUBACK comes
	ThrottleRefuse          // PUBACK 0x97
)

// tooSoon reports whether a client id connects for the second time within a
// second.
func (c *Cloud) tooSoon(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	last, known := c.connected[id]
	c.connected[id] = now
	return known && now.Sub(last) < time.Second
}

// Counts is what the stand-in has seen since it was started.
type Counts struct {
	Handshakes   uint64 // TLS handshakes that failed
	Unregistered uint64 // connections closed because the certificate is not active
	Connects     uint64 // CONNECTs that were accepted
	Refused      uint64 // CONNECTs that were refused
	Published    uint64 // messages accepted
	Bytes        uint64 // their size as it is metered
	Units        uint64 // 5 KB units they are billed as
	OtherUnits   uint64 // units of CONNECT, SUBSCRIBE, deliveries, and PUBACKs of devices
	Rejected     uint64 // messages not accepted
	Unacked      uint64 // messages accepted whose PUBACK was lost on purpose
	Violations   uint64 // packets that made us disconnect the client
	RuleNotFound uint64 // messages of Basic Ingest to a rule that does not exist
}

type counters struct {
	handshakes, unregistered, connects, refused, published, bytes, units, rejected, unacked, violations atomic.Uint64

	otherUnits, ruleNotFound atomic.Uint64
}

// Counts returns the counts so far.
func (c *Cloud) Counts() Counts {
	n := &c.counts
	return Counts{
		Handshakes: n.handshakes.Load(), Unregistered: n.unregistered.Load(), Connects: n.connects.Load(),
		Refused:   n.refused.Load(),
		Published: n.published.Load(), Bytes: n.bytes.Load(), Units: n.units.Load(), Rejected: n.rejected.Load(),
		Unacked: n.unacked.Load(), Violations: n.violations.Load(), OtherUnits: n.otherUnits.Load(),
		RuleNotFound: n.ruleNotFound.Load(),
	}
}

func (n *counters) accepted(size int) {
	n.published.Add(1)
	n.bytes.Add(uint64(size))
	n.units.Add(rules.Units(size))
}

// other meters what is not a message of a device.
func (n *counters) other(size int) { n.otherUnits.Add(rules.Units(size)) }
