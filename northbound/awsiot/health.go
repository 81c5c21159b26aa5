package awsiot

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/northbound/awsiot/uplink"
)

// onceFor is how long a single takeover is told: a second gateway with our identity
// takes the session back within seconds.
const onceFor = 5 * time.Minute

// Health implements [condition.Reporter].
func (s *Sink) Health() []condition.Condition {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []condition.Condition
	now := time.Now()
	if !s.link.Connected && s.fault.Text != "" {
		kind := condition.UplinkDown
		if s.fault.Act {
			kind = condition.UplinkRefused
		}
		subject := "uplink"
		if s.identity != nil && s.identity.Way == "none" {
			kind, subject = condition.IdentityAwaited, "identity"
		}
		all = append(all, kind.At(subject, s.link.Since, s.fault.Text))
	}
	if s.link.Connected && s.silent && s.now != nil && s.now.Acknowledged() == 0 {
		all = append(all, condition.UplinkSilent.At("uplink", s.link.Since))
	}
	if since := now.Sub(s.taken); s.link.Connected && !s.taken.IsZero() {
		switch {
		case s.again && since < uplink.TakeoverMemory:
			all = append(all, condition.SessionTaken.At("identity", s.taken, uplink.Day(s.taken)))
		case !s.again && since < onceFor:
			all = append(all, condition.SessionTakenOnce.At("identity", s.taken, uplink.Day(s.taken)))
		}
	}
	if count, since := s.contest.now(now); count > 0 {
		all = append(all, condition.SessionContested.At("identity", since, count, s.clientID(&s.config)))
	}
	if c, ok := expiring(s.own, now); ok {
		all = append(all, c)
	}
	all = append(all, s.life.Conditions(s.identity)...)
	all = append(all, s.commander.Health()...)
	all = append(all, s.errands.health()...)
	return append(all, s.denied.conditions()...)
}

// Observe implements [bridge.Observable].
func (s *Sink) Observe(yield func(bridge.Metric)) {
	l := s.Link()
	connected := 0.0
	if l.Connected {
		connected = 1
	}
	yield(bridge.Metric{Name: "fieldbridge_uplink_connected", Help: "1 while connected to the cloud.", Kind: bridge.Gauge,
		Value: connected})
	counter := func(name, help string, v *atomic.Uint64) {
		yield(bridge.Metric{Name: name, Help: help, Kind: bridge.Counter, Value: float64(v.Load())})
	}
	counter("fieldbridge_uplink_connects_total", "Connections to the cloud that were made.", &s.connects)
	counter("fieldbridge_uplink_connect_failures_total", "Attempts to connect that failed.", &s.failures)
	counter("fieldbridge_uplink_losses_total", "Connections to the cloud that were lost.", &s.losses)
	counter("fieldbridge_status_messages_total", "Messages of the status topic acknowledged by the cloud.", &s.statusSent)
	counter("fieldbridge_status_refused_total", "Messages of the status topic that the cloud refused.", &s.statusRefused)
	s.commander.Observe(yield)
	if s.worker != nil {
		s.worker.Observe(yield)
	}
	expiry := func(of string, c *bridge.CertificateStatus) {
		if c != nil {
			yield(bridge.Metric{Name: "fieldbridge_certificate_expiry_timestamp_seconds", Kind: bridge.Gauge,
				Labels: []string{"of", of},
				Help:   "When a certificate expires, in seconds since 1970.", Value: float64(c.Expires.Unix())})
		}
	}
	if version, cipher, ok := strings.Cut(l.TLS, ", "); ok {
		yield(bridge.Metric{Name: "fieldbridge_uplink_tls_info",
			Help: "1, with TLS version and cipher suite of the connection.", Kind: bridge.Gauge,
			Labels: []string{"version", version, "cipher", cipher}, Value: 1})
	}
	expiry("gateway", l.Own)
	expiry("cloud", l.Server)
	observeIdentity(l.Identity, yield)
}

// observeIdentity yields how the identity came, and when another is made.
func observeIdentity(i *bridge.IdentityStatus, yield func(bridge.Metric)) {
	if i == nil {
		return
	}
	yield(bridge.Metric{Name: "fieldbridge_identity_info", Kind: bridge.Gauge,
		Help:   "1, with how the identity came, and whether its key could be copied.",
		Labels: []string{"way", i.Way, "copyable", strconv.FormatBool(i.Copyable)}, Value: 1})
	if !i.Rotates.IsZero() {
		yield(bridge.Metric{Name: "fieldbridge_identity_rotation_timestamp_seconds", Kind: bridge.Gauge,
			Help: "When the identity is renewed, in seconds since 1970.", Value: float64(i.Rotates.Unix())})
	}
}
