package uplink

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"

	"fieldbridge/setting"
)

// Verdict is what a failed attempt says of our certificate.
type Verdict int

// What it may say.
const (
	NoVerdict Verdict = iota // it failed for another reason, the network for instance
	Closed                   // the cloud ended the connection without a word, once it knew our certificate
	Declined                 // it said that it does not take our certificate
	Forbidden                // it knows our certificate, whose policy does not allow the CONNECT
	Over                     // it said that our certificate has expired or is revoked
	Unusable                 // certificate or key cannot be used here
)

// OnCertificate returns what the error of [Attempt.Open] says of our certificate. It
// is the cloud's judgement, never that of the clock here.
func OnCertificate(err error) Verdict {
	var facts *connectError
	if !errors.As(err, &facts) {
		return NoVerdict
	}
	var file *setting.FileError
	var ack *connackError
	var own Explained
	alert := alertOf(facts.err)
	switch {
	case facts.stage == AtFiles && errors.As(facts.err, &own) && !own.Explain().Act:
		return NoVerdict // the chip with the key is away, and comes back
	case errors.As(facts.err, &file) && file.Key != "ca":
		return Unusable
	case facts.stage == AtFiles && file == nil:
		return Unusable
	case errors.As(facts.err, &ack) && ack.code == 0x87:
		return Forbidden
	case alert == "expired certificate" || alert == "revoked certificate":
		return Over
	case aboutOurs(alert):
		return Declined
	case facts.stage == AtConnect && wasClosed(facts.err):
		return Closed
	}
	return NoVerdict
}

// CertificateID returns what AWS calls the id of a certificate, "" for none.
func CertificateID(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}
