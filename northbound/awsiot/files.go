package awsiot

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

const (
	// fileCheck is how often the files are looked at while something waits for
	// new ones.
	fileCheck = 10 * time.Second
	// Before the own certificate expires, health says so.
	expiryWarning = 30 * 24 * time.Hour
	expiryAlarm   = 7 * 24 * time.Hour
)

// stamp returns what changes when one of the files that cfg names does.
func stamp(cfg *Config) string {
	var b strings.Builder
	for _, path := range []setting.Path{cfg.Certificate, cfg.PrivateKey, cfg.CA} {
		if info, err := os.Stat(string(path)); err == nil {
			fmt.Fprintf(&b, "%d %d;", info.ModTime().UnixNano(), info.Size())
		} else {
			b.WriteString("-;")
		}
	}
	return b.String()
}

// certificateStatus returns what people want to know of c; nil of none.
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
func expiring(own *bridge.CertificateStatus, now time.Time) (bridge.Condition, bool) {
	if own == nil {
		return bridge.Condition{}, false
	}
	left := own.Expires.Sub(now)
	c := bridge.Condition{Severity: bridge.Warning, Subject: "certificate", Since: own.Expires.Add(-expiryWarning)}
	switch {
	case left <= 0:
		c.Severity, c.Since = bridge.Alarm, own.Expires
		c.Text = fmt.Sprintf("our certificate has expired on %s: put a new one in its place", day(own.Expires))
	case left <= expiryWarning:
		c.Text = fmt.Sprintf("our certificate expires on %s: have a new one made", day(own.Expires))
		if left <= expiryAlarm {
			c.Severity, c.Since = bridge.Alarm, own.Expires.Add(-expiryAlarm)
		}
	default:
		return bridge.Condition{}, false
	}
	return c, true
}
