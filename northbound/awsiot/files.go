package awsiot

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/northbound/awsiot/uplink"
)

const (
	// fileCheck is how often the files are looked at while something waits for
	// new ones.
	fileCheck = 10 * time.Second
	// Before the own certificate expires, health says so.
	expiryWarning = 30 * 24 * time.Hour
	expiryAlarm   = 7 * 24 * time.Hour
)

// certificateStatus returns what people want to know of c; nil if there is none.
func certificateStatus(c *x509.Certificate) *bridge.CertificateStatus {
	if c == nil {
		return nil
	}
	return &bridge.CertificateStatus{Subject: c.Subject.String(), Issuer: c.Issuer.String(), Expires: c.NotAfter}
}

// tlsStatus returns version and cipher of a connection.
func tlsStatus(state *tls.ConnectionState) string {
	return tls.VersionName(state.Version) + ", " + tls.CipherSuiteName(state.CipherSuite)
}

// expiring returns what is to be said about the end of the own certificate.
func expiring(own *bridge.CertificateStatus, now time.Time) (condition.Condition, bool) {
	if own == nil {
		return condition.Condition{}, false
	}
	const subject = "certificate"
	expires := uplink.Day(own.Expires)
	switch left := own.Expires.Sub(now); {
	case left <= 0:
		return condition.CertificateExpired.At(subject, own.Expires, expires), true
	case left <= expiryAlarm:
		return condition.CertificateExpires.At(subject, own.Expires.Add(-expiryAlarm), expires), true
	case left <= expiryWarning:
		return condition.CertificateEnding.At(subject, own.Expires.Add(-expiryWarning), expires), true
	}
	return condition.Condition{}, false
}
