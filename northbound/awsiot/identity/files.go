package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/setting"
)

// renewBefore is how long before the end of our certificate to warn, and
// serverSoon before the end of the server's, which others renew.
const (
	renewBefore = 30 * 24 * time.Hour
	serverSoon  = 7 * 24 * time.Hour
)

// files reads certificate, key and CA as the session does. It reports whether
// they can be used.
func (c *check) files() bool {
	s, cfg := c.step(Files), &c.o.Config
	s.reached()
	s.Facts = append(s.Facts, c.o.Came...)
	var err error
	own := c.o.Pair
	if m := c.o.Managed; m != nil {
		own = m.Pair
		c.own, err = parseCertificates(m.Certificate)
		c.tellOwn(s, m.Folder, err)
	} else {
		c.own, err = readCertificates(cfg.Certificate)
		c.tellOwn(s, cfg.Certificate.String(), err)
		c.tellKey(s)
	}
	c.config, c.pair, err = uplink.TLS(cfg, own)
	if err == nil {
		s.fact("key", "%s, belongs to the certificate", keyText(c.own[0].PublicKey))
	}
	c.readRoots(s)
	if err != nil {
		c.failure(s, uplink.AtFiles, err)
		if n := c.keyOf(); c.o.Managed == nil && n > 0 {
			s.fail(fmt.Sprintf("the private key belongs to certificate %d of %s, not to the first", n+1, cfg.Certificate),
				"put the gateway's own certificate first, then the one that signed it, and so on")
		}
		return false
	}
	c.warnOwn(s)
	return true
}

// readCertificates returns the certificates of a PEM file, as far as they can be
// read.
func readCertificates(path setting.Path) ([]*x509.Certificate, error) {
	data, err := path.Read()
	if err != nil {
		return nil, err
	}
	return parseCertificates(data)
}

// parseCertificates returns the certificates of a PEM text, as far as they can be
// read.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			return certs, nil
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return certs, err
		}
		certs = append(certs, cert)
	}
}

// tellOwn notes what our certificate says.
func (c *check) tellOwn(s *Step, path string, err error) {
	if len(c.own) == 0 {
		s.fact("certificate", "%s: %s", path, cause(err, "no certificate in it"))
		return
	}
	leaf := c.own[0]
	s.fact("certificate", "%s", path)
	s.fact("subject", "%s", leaf.Subject)
	s.fact("signed by", "%s, %s", issuer(leaf), leaf.SignatureAlgorithm)
	s.fact("valid", "%s", c.validity(leaf))
	s.fact("certificate id", "%s", fingerprint(leaf))
	for i, cert := range c.own[1:] {
		s.fact(fmt.Sprintf("certificate %d", i+2), "%s, signed by %s, until %s", subject(cert), issuer(cert),
			day(cert.NotAfter))
	}
	s.fact("client id", "%s%s", c.report.Client, c.names(leaf))
}

// names says where client id, common name and thing name differ: AWS does not
// mind, policies may.
func (c *check) names(leaf *x509.Certificate) string {
	note := ""
	if cn := leaf.Subject.CommonName; cn != c.report.Client {
		note += fmt.Sprintf(", not the common name %q", cn)
	}
	if c.o.Gateway != c.report.Client {
		note += fmt.Sprintf(", not the thing name %q", c.o.Gateway)
	}
	return note
}

// tellKey notes what our key is, never what it contains.
func (c *check) tellKey(s *Step) {
	path := c.o.Config.PrivateKey
	info, err := path.Stat()
	if err != nil {
		s.fact("private key", "%s: %s", path, cause(err, ""))
		return
	}
	if info == nil {
		s.fact("private key", "%s", path)
		return
	}
	s.fact("private key", "%s, mode %#o", path, info.Mode().Perm())
	if info.Mode().Perm()&0o007 != 0 {
		s.warn(fmt.Sprintf("anyone on this machine may read or change the private key (mode %#o)", info.Mode().Perm()),
			fmt.Sprintf("chmod 600 %s", path))
	}
}

// keyOf returns the place of the certificate in our file that the key belongs
// to, -1 if there is none.
func (c *check) keyOf() int {
	key, err := c.o.Config.PrivateKey.Read()
	if err != nil {
		return -1
	}
	return slices.IndexFunc(c.own, func(cert *x509.Certificate) bool {
		_, err := tls.X509KeyPair(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), key)
		return err == nil
	})
}

// readRoots notes who may vouch for the server.
func (c *check) readRoots(s *Step) {
	path := c.o.Config.CA
	if path == "" {
		c.roots = c.builtIn
		s.fact("ca", "built in: Amazon Root CA 1 to 4 and Starfield Services G2")
		return
	}
	var err error
	c.roots, err = readCertificates(path)
	if len(c.roots) == 0 {
		s.fact("ca", "%s: %s", path, cause(err, "no certificate in it"))
		return
	}
	s.fact("ca", "%s", path)
	for _, r := range c.roots {
		s.fact("root", "%s, until %s", subject(r), day(r.NotAfter))
	}
}

// warnOwn tells what is not right with our own certificate. Whether it is
// refused for it is up to the server, which knows the time better.
func (c *check) warnOwn(s *Step) {
	leaf := c.own[0]
	switch left := leaf.NotAfter.Sub(c.now); {
	case left < 0:
		s.warn(fmt.Sprintf("our certificate has expired on %s (the clock here says %s)", day(leaf.NotAfter), day(c.now)),
			"have a new one made, or set the clock if it is wrong")
	case c.now.Before(leaf.NotBefore):
		s.warn(fmt.Sprintf("our certificate is not yet valid (from %s, and the clock here says %s)", day(leaf.NotBefore),
			day(c.now)), "is the gateway's clock right?")
	case left < renewBefore:
		s.warn(fmt.Sprintf("our certificate expires on %s, %s", day(leaf.NotAfter), inDays(left)), "have a new one made")
	}
	if why := refusedKey(leaf.PublicKey); why != "" {
		s.warn(why, "have a certificate made for an RSA key of 2048 bits or more, or ECDSA P-256 or P-384")
	}
	if len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		s.warn("our certificate is not made for clients (extended key usage)", "have one made with clientAuth")
	}
	for i, cert := range c.own[1:] {
		if before := c.own[i]; !bytes.Equal(before.RawIssuer, cert.RawSubject) || before.CheckSignatureFrom(cert) != nil {
			s.warn(fmt.Sprintf("certificate %d of ours has not signed certificate %d", i+2, i+1),
				"put the gateway's own first, then the one that signed it, and so on")
		}
	}
}

// refusedKey says why AWS does not take a kind of key ("X.509 client
// certificates", AWS IoT Core developer guide).
func refusedKey(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() >= 2048 {
			return ""
		}
	case *ecdsa.PublicKey:
		if size := k.Curve.Params().BitSize; size >= 256 {
			return ""
		}
	}
	return fmt.Sprintf("AWS does not take keys of this kind (%s)", keyText(key))
}

func keyText(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", key)
}

// fingerprint returns what AWS calls a certificate's id.
func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}
