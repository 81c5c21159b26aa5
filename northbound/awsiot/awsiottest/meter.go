package awsiottest

import (
	"sync/atomic"

	"fieldbridge/northbound/awsiot/awsiottest/rules"
)

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
		Handshakes: n.handshakes.Load(), Unregistered: n.unregistered.Load(), Connects: n.connects.Load(), Refused: n.refused.Load(),
		Published: n.published.Load(), Bytes: n.bytes.Load(), Units: n.units.Load(), Rejected: n.rejected.Load(),
		Unacked: n.unacked.Load(), Violations: n.violations.Load(), OtherUnits: n.otherUnits.Load(), RuleNotFound: n.ruleNotFound.Load(),
	}
}

func (n *counters) accepted(size int) {
	n.published.Add(1)
	n.bytes.Add(uint64(size))
	n.units.Add(rules.Units(size))
}

// other meters what is no message of a device.
func (n *counters) other(size int) { n.otherUnits.Add(rules.Units(size)) }
