package identity

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"fieldbridge/northbound/awsiot/uplink"
)

// tell turns what was observed of a handshake into steps. It reports whether the
// handshake is complete and the connection still there.
func (c *check) tell(h *handshake) bool {
	c.tellHellos(h)
	c.tellServer(h)
	c.tellRequest(h)
	c.tellSent(h)
	c.tellFinished(h)
	switch c.alert = cmp.Or(alert(h.err), alert(h.after)); {
	case h.err != nil:
		c.failHandshake(h)
	case h.after != nil:
		c.failAfter(h)
	default:
		return true
	}
	return false
}

// tellHellos notes what was offered and chosen, as it went over the wire.
func (c *check) tellHellos(h *handshake) {
	ours, ok := h.wire.clientHello()
	if !ok {
		return
	}
	s := c.step(ClientHello)
	s.reached()
	s.fact("server name", "%s", ours.serverName)
	s.fact("versions", "%s", versions(ours.versions))
	s.fact("cipher suites", "%d", ours.suites)
	s.fact("alpn", "%s", strings.Join(ours.protocols, ", "))
	theirs, ok := h.wire.serverHello()
	if !ok {
		return
	}
	s = c.step(ServerHello)
	s.reached()
	s.fact("version", "%s", tls.VersionName(theirs.version))
	s.fact("cipher suite", "%s", tls.CipherSuiteName(theirs.suite))
	if theirs.retry {
		s.fact("asks for", "another key share first (HelloRetryRequest)")
	}
	s.fact("answered in", "%s", took(h.wire.firstReceived.Sub(h.wire.firstSent)))
	if h.err != nil || len(ours.protocols) == 0 {
		return
	}
	chosen := h.conn.ConnectionState().NegotiatedProtocol
	if s.fact("alpn", "%s", chosen); chosen == "" {
		s.warn("the server did not choose the protocol "+ours.protocols[0]+" that was offered by ALPN",
			"is this an AWS data endpoint? at AWS, port 443 without ALPN does not speak MQTT")
	}
}

func versions(list []uint16) string {
	names := make([]string, len(list))
	for i, v := range list {
		names[i] = tls.VersionName(v)
	}
	return strings.Join(names, ", ")
}

// tellRequest notes what certificates the server asks for.
func (c *check) tellRequest(h *handshake) {
	s := c.step(CertificateRequest)
	if h.request == nil {
		if h.err == nil { // the handshake is complete without
			s.reached()
			s.warn("the server does not ask for a certificate: it cannot know who we are", "is this an AWS data endpoint?")
		}
		return
	}
	s.reached()
	if n := len(h.request.AcceptableCAs); n == 0 {
		s.fact("from authorities", "any")
	} else {
		s.fact("from authorities", "%s", authorities(h.request.AcceptableCAs))
		s.fact("ours is among them", "%s", c.amongThem(h.request.AcceptableCAs))
	}
	names := make([]string, len(h.request.SignatureSchemes))
	for i, scheme := range h.request.SignatureSchemes {
		names[i] = scheme.String()
	}
	s.fact("signed with", "%s", strings.Join(names, ", "))
}

func authorities(names [][]byte) string {
	list := make([]string, len(names))
	for i, der := range names {
		var rdn pkix.RDNSequence
		if rest, err := asn1.Unmarshal(der, &rdn); err != nil || len(rest) > 0 {
			list[i] = "(cannot be read)"
			continue
		}
		var n pkix.Name
		n.FillFromRDNSequence(&rdn)
		list[i] = name(n)
	}
	return shorten(list)
}

// amongThem says whether one of our certificates is signed by one of the
// authorities that the server names. AWS takes others, too.
func (c *check) amongThem(names [][]byte) string {
	for _, cert := range c.own {
		if slices.ContainsFunc(names, func(der []byte) bool { return string(der) == string(cert.RawIssuer) }) {
			return "yes"
		}
	}
	return "no, ours is signed by " + issuer(c.own[0])
}

// tellSent notes that our certificate and the proof that we have its key were
// sent: by the records, or, where those are encrypted, by the complete handshake.
func (c *check) tellSent(h *handshake) {
	own, verify := c.step(OwnCertificate), c.step(CertificateVerify)
	if h.request == nil {
		if h.err == nil {
			own.skip("the server did not ask for it", "")
			verify.skip("the server did not ask for a certificate", "")
		}
		return
	}
	const typeCertificate, typeCertificateVerify = 11, 15 // RFC 5246, 7.4
	if _, seen := h.wire.sent.first(typeCertificate); seen || h.err == nil {
		own.reached()
		own.fact("sent", "%s, signed by %s%s", subject(c.own[0]), issuer(c.own[0]), others(len(c.pair.Certificate)-1))
	}
	if len(h.signed) > 0 {
		verify.fact("signed with our key", "%s", strings.Join(h.signed, ", "))
	}
	if _, seen := h.wire.sent.first(typeCertificateVerify); seen || h.err == nil {
		verify.reached()
		verify.fact("server's signature", "right: it has the key of its certificate")
	}
}

func others(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", and %d more", n)
}

// tellFinished notes the end of the handshake.
func (c *check) tellFinished(h *handshake) {
	if h.err != nil {
		return
	}
	s, state := c.step(Finished), h.conn.ConnectionState()
	s.reached()
	s.fact("handshake", "%s", took(h.took))
	s.fact("key exchange", "%s", keyExchange(state))
	if h.after == nil {
		s.fact("kept open", "for %s before CONNECT%s", took(h.settled), lateRefusal(state.Version))
	}
}

func keyExchange(state tls.ConnectionState) string {
	if state.CurveID == 0 {
		return ""
	}
	return state.CurveID.String()
}

// lateRefusal explains why silence after a handshake is worth a fact.
func lateRefusal(version uint16) string {
	if version >= tls.VersionTLS13 {
		return " (with TLS 1.3 a refusal of our certificate comes only now)"
	}
	return ""
}

// failHandshake fails the step at which the handshake ended.
func (c *check) failHandshake(h *handshake) {
	at := h.failedAt()
	s := c.step(at)
	c.failure(s, uplink.AtHandshake, h.err)
	switch at {
	case ServerHello:
		if hello, ok := h.wire.serverHello(); ok && hello.version < tls.VersionTLS12 {
			s.fail(fmt.Sprintf("%s speaks only %s", c.o.Config.Endpoint, tls.VersionName(hello.version)),
				"TLS 1.2 or 1.3 is needed")
		}
	case ServerCertificate:
		c.explainServer(s, h.err)
	case OwnCertificate:
		c.explainRefusal(s)
	case Finished:
		if len(h.signed) > 0 && closed(h.err) && !c.outOfDate() {
			c.failSilently(s)
		}
	case CertificateVerify:
		if h.request != nil && len(h.signed) == 0 && alert(h.err) == "" {
			s.fail(fmt.Sprintf("our key (%s) cannot sign as the server wants it", keyText(c.own[0].PublicKey)),
				"have a certificate made for an ECDSA P-256 or RSA 2048 key")
		}
	}
	c.blame(at)
}

// explainRefusal adds to the explanation of a refused certificate what the clock
// here says.
func (c *check) explainRefusal(s *Step) {
	if c.clocksDiffer() {
		s.fail(fmt.Sprintf("%s says that our certificate has expired, but by the clock here (%s) it is valid until %s",
			c.o.Config.Endpoint, day(c.now), day(c.leaf().NotAfter)),
			"set the clock if it is wrong; if it is right, the server's clock or its copy of the authority's certificate is "+
				"out of date")
	}
}

// failAfter tells why the server ended the connection after the handshake: with
// TLS 1.3 that is where a certificate is refused.
func (c *check) failAfter(h *handshake) {
	s := c.step(Finished)
	switch {
	case aboutCertificate(alert(h.after)):
		s = c.step(OwnCertificate)
		s.fact("refused", "after Finished, as TLS 1.3 has it")
		c.failure(s, uplink.AtHandshake, h.after)
		c.explainRefusal(s)
		c.blame(OwnCertificate)
	case closed(h.after) && !c.outOfDate():
		c.failSilently(s)
	default:
		c.failure(s, uplink.AtConnect, h.after)
	}
}

// failSilently tells of a server that says nothing about our certificate.
func (c *check) failSilently(s *Step) {
	s.fail(fmt.Sprintf("%s closed the connection when it had our certificate, without saying why", c.o.Config.Endpoint),
		"register the certificate in this account and region and make it active: AWS closes so when it does not know a "+
			"certificate")
}

// closed reports whether the other side ended a connection without an alert.
func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE)
}

// blame marks the steps after a failed one as not reached: they were sent along,
// but nobody has looked at them.
func (c *check) blame(at string) {
	i := slices.Index(stepNames[:], at)
	for _, n := range stepNames[i+1:] {
		if s := c.step(n); s.State == OK {
			s.State, s.Facts = NotReached, nil
		}
	}
}

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
		s.fact(fmt.Sprintf("chain %d", i+1), "%s, %s, signed by %s, until %s", subject(cert), keyText(cert.PublicKey),
			issuer(cert), day(cert.NotAfter))
	}
	if h.verified == nil || len(h.verified.VerifiedChains) == 0 {
		s.fact("checked against", "%s", c.rootsText())
		return
	}
	chain := h.verified.VerifiedChains[0]
	root := chain[len(chain)-1]
	s.fact("root", "%s of %s, SHA-256 %s", subject(root), c.rootsText(), fingerprint(root)[:16])
	if left := leaf.NotAfter.Sub(c.now); left < serverSoon {
		s.warn(fmt.Sprintf("the server's certificate expires on %s, %s", day(leaf.NotAfter), inDays(left)),
			"ask who runs the server whether it is renewed in time")
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
		s.fail(fmt.Sprintf("the server's certificate is signed by %s, which is not one of Amazon's roots", issuerName(last)),
			"if this is not AWS itself, give its CA in northbound.awsiot.ca; if it is, something in between looks into TLS: "+
				"have it let this endpoint through")
	case c.trustedBy(c.builtIn):
		s.fail(fmt.Sprintf("the roots in %s do not vouch for the server, but the built-in ones of Amazon do", c.o.Config.CA),
			"remove northbound.awsiot.ca")
	case c.sameName(last):
		s.fail(fmt.Sprintf("%s has a root with the name of the server's authority, %s, but another key", c.o.Config.CA,
			issuerName(last)),
			"use the CA certificate that is in use now: the authority was made anew, or it is another one")
	}
}

// trustedBy reports whether the server's certificate is right by other roots.
func (c *check) trustedBy(roots []*x509.Certificate) bool {
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), DNSName: c.config.ServerName,
		CurrentTime: c.now}
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
