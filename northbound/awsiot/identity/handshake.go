package identity

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// After the handshake the server has so long to end the connection before we
// send CONNECT: with TLS 1.3 it has not looked at our certificate before.
const (
	settleLeast = 500 * time.Millisecond
	settleMost  = 2 * time.Second
)

// handshake is one TLS handshake and what was observed of it.
type handshake struct {
	wire   *wire
	conn   *tls.Conn
	reader *bufio.Reader // of conn

	verified *tls.ConnectionState        // when the server's certificate had been verified
	request  *tls.CertificateRequestInfo // when the server had asked for ours
	signed   []string                    // what our key has signed with

	err     error         // why the handshake failed
	after   error         // why the connection ended right after it
	took    time.Duration // the handshake
	settled time.Duration // that the server kept the connection afterwards
}

// newHandshake prepares a handshake over conn with the session's configuration
// and our certificate and key.
func newHandshake(conn net.Conn, session *tls.Config, pair tls.Certificate) *handshake {
	h := &handshake{wire: &wire{Conn: conn}}
	cfg := session.Clone()
	if key, ok := pair.PrivateKey.(crypto.Signer); ok {
		pair.PrivateKey = &signer{key, h}
	}
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		h.verified = &state
		return nil
	}
	cfg.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		h.request = info
		return &pair, nil
	}
	h.conn = tls.Client(h.wire, cfg)
	h.reader = bufio.NewReader(h.conn)
	return h
}

// signer is our key; it notes that it was used.
type signer struct {
	crypto.Signer
	h *handshake
}

// Sign implements [crypto.Signer].
func (s *signer) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := s.Signer.Sign(random, digest, opts)
	if err == nil {
		s.h.signed = append(s.h.signed, schemeText(s.Public(), opts))
	}
	return signature, err
}

// schemeText says how something is signed.
func schemeText(key crypto.PublicKey, opts crypto.SignerOpts) string {
	kind := "signature"
	switch key.(type) {
	case *ecdsa.PublicKey:
		kind = "ECDSA"
	case ed25519.PublicKey:
		return "Ed25519"
	case *rsa.PublicKey:
		kind = "RSA PKCS#1 v1.5"
		if _, ok := opts.(*rsa.PSSOptions); ok {
			kind = "RSA-PSS"
		}
	}
	return fmt.Sprintf("%s with %s", kind, opts.HashFunc())
}

// run makes the handshake.
func (h *handshake) run(ctx context.Context) {
	start := time.Now()
	h.err = h.conn.HandshakeContext(ctx)
	h.took = time.Since(start)
}

// settle waits whether the server ends the connection after the handshake. What
// it sends instead can still be read.
func (h *handshake) settle(ctx context.Context, rtt time.Duration) {
	deadline := time.Now().Add(min(max(settleLeast, 3*rtt), settleMost))
	start := time.Now()
	stop := h.until(ctx, deadline)
	_, err := h.reader.Peek(1)
	stop()
	h.settled = time.Since(start)
	if ctx.Err() != nil {
		err = ctx.Err()
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // silence is what we want: the client speaks first
	}
	h.after = err
}

// until ends reading and writing at a deadline, or when ctx ends. stop must be
// called afterwards.
func (h *handshake) until(ctx context.Context, deadline time.Time) (stop func()) {
	_ = h.conn.SetDeadline(deadline)
	cancel := context.AfterFunc(ctx, func() { _ = h.conn.SetDeadline(time.Now()) })
	return func() {
		if cancel() {
			_ = h.conn.SetDeadline(time.Time{})
		}
	}
}

// alert returns the name of the alert by which the server ended the connection,
// or "". crypto/tls has no type for it.
func alert(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return strings.TrimPrefix(op.Err.Error(), "tls: ")
	}
	return ""
}

// aboutCertificate tells alerts about our certificate from others.
func aboutCertificate(alert string) bool {
	switch alert {
	case "bad certificate", "unsupported certificate", "revoked certificate", "expired certificate", "unknown certificate",
		"unknown certificate authority", "access denied", "certificate required", "certificate unobtainable":
		return true
	}
	return false
}

// failedAt returns the step that a failed handshake failed at.
func (h *handshake) failedAt() string {
	var wrong *tls.CertificateVerificationError
	hello, seen := h.wire.serverHello()
	said := alert(h.err)
	switch {
	case !seen || hello.version < tls.VersionTLS12:
		return ServerHello
	case errors.As(h.err, &wrong) || h.verified == nil:
		return ServerCertificate
	case aboutCertificate(said):
		return OwnCertificate
	case said == "error decrypting message", h.request != nil && len(h.signed) == 0:
		return CertificateVerify
	}
	return Finished
}
