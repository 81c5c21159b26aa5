package identity

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// tellServer notes who the server says it is and who vouches for it.
func (c *check) tellServer(h *handshake) {
	var wrong *tls.CertificateVerificationError
	switch {
	case errors.As(h.err, &wrong):
		c.server = wrong.UnverifiedCertificates
	case h.verified != nil:
		c.server = h.verified.PeerCertificates
	}
	if len(c.server) == 0 {
		return
	}
	s, leaf := c.step(ServerCertificate), c.server[0]
	s.reached()
	s.fact("names", "%s", shorten(serverNames(leaf)))
	s.fact("valid", "%s", c.validity(leaf))
	for i, cert := range c.server {
		s.fact(fmt.Sprintf("chain %d", i+1), "%s, %s, signed by %s, until %s", subject(cert), keyText(cert.PublicKey), issuer(cert), day(cert.NotAfter))
	}
	if h.verified == nil || len(h.verified.VerifiedChains) == 0 {
		s.fact("checked against", "%s", c.rootsText())
		return
	}
	chain := h.verified.VerifiedChains[0]
	root := chain[len(chain)-1]
	s.fact("root", "%s of %s, SHA-256 %s", subject(root), c.rootsText(), fingerprint(root)[:16])
	if left := leaf.NotAfter.Sub(c.now); left < serverSoon {
		s.warn(fmt.Sprintf("the server's certificate expires on %s, %s", day(leaf.NotAfter), inDays(left)), "ask who runs the server whether it is renewed in time")
	}
}

// serverNames are the names that a certificate is good for.
func serverNames(cert *x509.Certificate) []string {
	names := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// rootsText says where the roots are from.
func (c *check) rootsText() string {
	if c.o.Config.CA == "" {
		return "the built-in roots"
	}
	return string(c.o.Config.CA)
}

// explainServer adds to the explanation of a certificate that is not trusted
// what a person would try next.
func (c *check) explainServer(s *Step, err error) {
	var authority x509.UnknownAuthorityError
	if !errors.As(err, &authority) || len(c.server) == 0 {
		return
	}
	last := c.server[len(c.server)-1]
	switch {
	case c.o.Config.CA == "":
		s.fail(fmt.Sprintf("the server's certificate is signed by %s, which is none of Amazon's roots", issuerName(last)),
			"if this is not AWS itself, give its CA in northbound.awsiot.ca; if it is, something in between looks into TLS: have it let this endpoint through")
	case c.trustedBy(c.builtIn):
		s.fail(fmt.Sprintf("the roots in %s do not vouch for the server, but the built-in ones of Amazon do", c.o.Config.CA), "remove northbound.awsiot.ca")
	case c.sameName(last):
		s.fail(fmt.Sprintf("%s has a root with the name of the server's authority, %s, but another key", c.o.Config.CA, issuerName(last)),
			"use the CA certificate that is in use now: the authority was made anew, or it is another one")
	}
}

// trustedBy reports whether the server's certificate is right by other roots.
func (c *check) trustedBy(roots []*x509.Certificate) bool {
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), DNSName: c.config.ServerName, CurrentTime: c.now}
	for _, r := range roots {
		o.Roots.AddCert(r)
	}
	for _, i := range c.server[1:] {
		o.Intermediates.AddCert(i)
	}
	_, err := c.server[0].Verify(o)
	return err == nil
}

// sameName reports whether one of our roots has the name of a certificate's
// issuer, but did not sign it.
func (c *check) sameName(cert *x509.Certificate) bool {
	for _, r := range c.roots {
		if bytes.Equal(r.RawSubject, cert.RawIssuer) && cert.CheckSignatureFrom(r) != nil {
			return true
		}
	}
	return false
}

func issuerName(cert *x509.Certificate) string { return name(cert.Issuer) }
