package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"fieldbridge/plain"
	"fieldbridge/setting"
)

// Explanation is a failure in one sentence: what is wrong and what to do.
type Explanation struct {
	Text string
	Fix  string // the end of Text that says what to do, if there is one
	Act  bool   // someone must do something; waiting will not help
}

func act(format string, args ...any) Explanation {
	return Explanation{Text: fmt.Sprintf(format, args...), Fix: fix(format, args), Act: true}
}

func wait(format string, args ...any) Explanation {
	return Explanation{Text: fmt.Sprintf(format, args...), Fix: fix(format, args)}
}

// fix returns what the last ": " of a format leads to, unless that is only a
// detail of what is wrong.
func fix(format string, args []any) string {
	i := strings.LastIndex(format, ": ")
	if i < 0 || strings.HasPrefix(format[i:], ": %") {
		return ""
	}
	return fmt.Sprintf(format[i+len(": "):], args[strings.Count(format[:i], "%"):]...)
}

// Wait returns an explanation of what mends itself, or may; the end of format after
// its last ": " says what to do.
func Wait(format string, args ...any) Explanation { return wait(format, args...) }

// Act is [Wait] for what someone must do something about.
func Act(format string, args ...any) Explanation { return act(format, args...) }

// Explained is an error that says itself what is wrong and what to do.
type Explained interface {
	error
	Explain() Explanation
}

// Explain returns why a connection could not be made or ended, and what to do.
func Explain(err error) Explanation {
	var own Explained
	if errors.As(err, &own) {
		return own.Explain()
	}
	var facts *connectError
	if !errors.As(err, &facts) {
		facts = &connectError{stage: atUp, endpoint: "the cloud", err: err}
	}
	for _, try := range []func(*connectError) (Explanation, bool){
		explainFiles, explainProxy, explainServer, explainAlert, explainMQTT, explainNetwork, explainClosed,
	} {
		if e, ok := try(facts); ok {
			return e
		}
	}
	return wait("connecting to %s: %s", facts.endpoint, plain.Text(facts.err))
}

// explainFiles is about certificate, key and CA on our disk.
func explainFiles(f *connectError) (Explanation, bool) {
	var file *setting.FileError
	if !errors.As(f.err, &file) {
		return Explanation{}, false
	}
	name := fmt.Sprintf("%s %s", file.Key, file.Path)
	switch {
	case errors.Is(file.Err, fs.ErrNotExist):
		return act("%s does not exist: put the file there, or correct northbound.awsiot.%s", name, file.Key), true
	case errors.Is(file.Err, fs.ErrPermission):
		return act("%s may not be read by this user: change its owner or mode", name), true
	case errors.Is(file.Err, setting.ErrUTF16):
		return act("%s is UTF-16: %s", name, setting.FixUTF16), true
	case errors.Is(file.Err, setting.ErrKeyMismatch):
		return act("%s does not belong to the certificate: use the key that was made with it, or have a new certificate made",
			name), true
	case errors.Is(file.Err, setting.ErrEncryptedKey):
		return act("%s is encrypted: decrypt it (openssl pkey -in FILE -out NEW), nobody is there to type a passphrase",
			name), true
	case errors.Is(file.Err, setting.ErrNoKey), errors.Is(file.Err, setting.ErrNoCertificate):
		return act("%s: %v: give a file with -----BEGIN lines (convert DER with openssl)", name, file.Err), true
	}
	return act("%s cannot be used: %v: give a right PEM file", name, file.Err), true
}

func explainProxy(f *connectError) (Explanation, bool) {
	var proxy *proxyError
	if errors.As(f.err, &proxy) {
		return act("the proxy %s does not let us through to %s: %s: correct northbound.awsiot.proxy, or have the address "+
			"allowed there", proxy.proxy, f.endpoint, proxy.reason), true
	}
	return Explanation{}, false
}

// explainServer is about the server's certificate.
func explainServer(f *connectError) (Explanation, bool) {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var noTLS tls.RecordHeaderError
	switch {
	case errors.As(f.err, &authority):
		issuer := "nobody we know"
		if authority.Cert != nil {
			issuer = fmt.Sprintf("%q", authority.Cert.Issuer)
		}
		if f.ownRoots {
			return act("the certificate of %s is signed by %s, which is not in northbound.awsiot.ca: correct that, or remove "+
				"it if this is AWS itself (a firewall that looks into TLS shows like this, too)", f.endpoint, issuer), true
		}
		return act("the certificate of %s is signed by %s, an unknown authority: correct the endpoint, or have no firewall "+
			"look into this TLS; if it is no AWS on purpose, give its CA in northbound.awsiot.ca", f.endpoint, issuer), true
	case errors.As(f.err, &host) && !setting.HasNames(host.Certificate):
		return act("the certificate of %s names no host at all (subjectAltName is missing): the server needs a new one that "+
			"names %s", f.endpoint, host.Host), true
	case errors.As(f.err, &host):
		names := append([]string(nil), host.Certificate.DNSNames...)
		for _, ip := range host.Certificate.IPAddresses {
			names = append(names, ip.String())
		}
		return act("the certificate of %s is for %s, not for %s: correct northbound.awsiot.endpoint or server_name",
			f.endpoint, strings.Join(names, ", "), host.Host), true
	case errors.As(f.err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		now := time.Now()
		if now.Before(invalid.Cert.NotBefore) {
			return wait("the certificate of %s is not yet valid (from %s, and the clock here says %s): is the gateway's "+
				"clock right?",
				f.endpoint, Day(invalid.Cert.NotBefore), Day(now)), true
		}
		return act("the certificate of %s has expired on %s (the clock here says %s): if the clock is right, the server "+
			"needs a new one",
			f.endpoint, Day(invalid.Cert.NotAfter), Day(now)), true
	case errors.As(f.err, &invalid):
		return act("the certificate of %s cannot be used: %v", f.endpoint, invalid), true
	case errors.As(f.err, &noTLS):
		return act("%s does not speak TLS: is the port right?", f.endpoint), true
	}
	return Explanation{}, false
}

// Day writes a time as explanations do.
func Day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// explainAlert is about what the server says to our certificate. With TLS 1.3 it
// says so after the handshake. crypto/tls has no type for received alerts.
func explainAlert(f *connectError) (Explanation, bool) {
	alert := alertOf(f.err)
	if alert == "" {
		return Explanation{}, false
	}
	if e, ok := explainOwn(f); ok {
		return e, true
	}
	switch {
	case alert == "expired certificate":
		return act("%s says that our certificate has expired: have a new one made (the clock here says %s)", f.endpoint,
			Day(time.Now())), true
	case alert == "revoked certificate":
		return act("%s says that our certificate is revoked: have a new one made", f.endpoint), true
	case aboutOurs(alert):
		return act("%s refuses our certificate (%s): is it registered in this account and region, active, and RSA 2048+ "+
			"or ECDSA P-256 or P-384?", f.endpoint, alert), true
	case alert == "no application protocol":
		return act("%s does not speak MQTT with certificates on this port: use 8883, or 443 at an AWS data endpoint",
			f.endpoint), true
	case slices.Contains([]string{"protocol version not supported", "handshake failure", "insufficient security level"},
		alert):
		return act("%s and this gateway have no TLS version and cipher in common (%s): TLS 1.2 or 1.3 is needed", f.endpoint,
			alert), true
	case alert == "unrecognized name":
		return act("%s does not know the name %s: correct northbound.awsiot.server_name", f.endpoint, f.server), true
	}
	return act("%s broke off the TLS handshake: %s", f.endpoint, alert), true
}

// alertOf returns the name of the alert by which the other side ended the
// connection, or "".
func alertOf(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return strings.TrimPrefix(op.Err.Error(), "tls: ")
	}
	return ""
}

// aboutOurs reports whether an alert is about our certificate, beside its dates.
func aboutOurs(alert string) bool {
	switch alert {
	case "bad certificate", "unknown certificate", "unknown certificate authority", "unsupported certificate",
		"access denied", "certificate required":
		return true
	}
	return false
}

// explainOwn finds what is visibly wrong with our own certificate.
func explainOwn(f *connectError) (Explanation, bool) {
	if f.own == nil {
		return Explanation{}, false
	}
	switch now := time.Now(); {
	case now.After(f.own.NotAfter):
		return act("our certificate has expired on %s: have a new one made, or set the clock if it is wrong (it says %s)",
			Day(f.own.NotAfter), Day(now)), true
	case now.Before(f.own.NotBefore):
		return wait("our certificate is not yet valid (from %s, and the clock here says %s): is the gateway's clock right?",
			Day(f.own.NotBefore), Day(now)), true
	}
	return Explanation{}, false
}

// explainMQTT is about CONNACK and DISCONNECT.
func explainMQTT(f *connectError) (Explanation, bool) {
	var ack *connackError
	if errors.As(f.err, &ack) {
		return explainConnack(f, ack), true
	}
	var end *disconnectError
	if errors.As(f.err, &end) {
		return explainDisconnect(f, end), true
	}
	var wrong *protocolError
	if errors.As(f.err, &wrong) {
		return wait("%s broke the protocol (%v): is something in between, or is it another broker? Connecting again",
			f.peer(), wrong), true
	}
	var long *tooLongError
	if errors.As(f.err, &long) {
		return wait("%s sends more than it may (%v): is something in between, or is it another broker? Connecting again",
			f.peer(), long), true
	}
	var small *tooSmallError
	if errors.As(f.err, &small) {
		return act("%s takes packets of at most %d bytes, and %d are needed: AWS takes 149504, so it is another broker, "+
			"whose limit must be raised; nothing is lost, readings wait", f.endpoint, small.most, small.need), true
	}
	return Explanation{}, false
}

func explainConnack(f *connectError, ack *connackError) Explanation {
	switch ack.code {
	case 0x87:
		return act("%s knows our certificate but refuses the CONNECT (0x87, not authorized): the policy must allow "+
			"iot:Connect for this client id and iot:Publish to the status topic", f.endpoint)
	case 0x85:
		return act("%s refuses our client id (0x85): correct northbound.awsiot.client_id", f.endpoint)
	case 0x86:
		return act("%s asks for a user name and password (0x86): is this a data endpoint for certificates?", f.endpoint)
	case 0x84:
		return act("%s does not speak MQTT 5 (0x84)", f.endpoint)
	case 0x90:
		return act("%s refuses the topic of the last will (0x90): correct northbound.awsiot.status_topic", f.endpoint)
	case 0x97, 0x9F:
		return wait("%s refuses the CONNECT for now (0x%02X, quota exceeded): trying again more slowly", f.endpoint, ack.code)
	case 0x88, 0x89:
		return wait("%s is busy or unavailable (0x%02X): trying again", f.endpoint, ack.code)
	}
	return wait("%s refuses the CONNECT (0x%02X %s)", f.endpoint, ack.code, ack.reason)
}

func explainDisconnect(f *connectError, end *disconnectError) Explanation {
	switch end.code {
	case 0x8E:
		return act("another client has connected to %s with our client id (0x8E): give each gateway its own client_id and "+
			"certificate", f.endpoint)
	case 0x8B:
		return wait("%s is shutting down this server (0x8B): connecting to another", f.endpoint)
	case 0x8D:
		return wait("%s heard nothing from us for too long (0x8D, keep-alive): connecting again", f.endpoint)
	case 0x87:
		return act("%s disconnected us (0x87, not authorized): does the policy allow all our topics?", f.endpoint)
	case 0x97, 0x96:
		return wait("%s disconnected us (0x%02X, quota exceeded): connecting again; lower northbound.awsiot.rate if it "+
			"repeats", f.endpoint, end.code)
	case 0x98:
		return wait("%s disconnected us on an administrator's order (0x98): connecting again", f.endpoint)
	}
	return wait("%s disconnected us (0x%02X %s): connecting again", f.endpoint, end.code, end.reason)
}

// explainNetwork is about everything below TLS.
func explainNetwork(f *connectError) (Explanation, bool) {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(f.err, ErrSilent):
		return wait("%s acknowledges nothing though we are connected: connecting again", f.peer()), true
	case errors.As(f.err, &dns) && dns.IsNotFound:
		return act("there is no host called %s: correct northbound.awsiot.endpoint, or mend the name server", dns.Name), true
	case errors.As(f.err, &dns) && strings.HasSuffix(dns.Err, syscall.ENETUNREACH.Error()): // package net keeps no more
		return wait("this machine has no network, so the name %s cannot be looked up: check its cable or modem, and its "+
			"network settings", dns.Name), true
	case errors.As(f.err, &dns) && dns.IsTimeout:
		return wait("the name %s cannot be looked up, no name server answers in time: is the network up, and the name "+
			"server right?", dns.Name), true
	case errors.As(f.err, &dns) && strings.HasSuffix(dns.Err, syscall.ECONNREFUSED.Error()):
		return wait("the name %s cannot be looked up, the name server of this machine refuses: mend it, or name another",
			dns.Name), true
	case errors.As(f.err, &dns):
		return wait("the name %s cannot be looked up (%s): is the network up, and the name server right?", dns.Name, dns.Err),
			true
	case errors.Is(f.err, syscall.ECONNREFUSED):
		return wait("%s refuses connections: is the port right, or a firewall in the way?", f.peer()), true
	case errors.Is(f.err, syscall.ENETUNREACH), errors.Is(f.err, syscall.EHOSTUNREACH):
		return wait("there is no route to %s: is the network up?", f.peer()), true
	case errors.Is(f.err, context.DeadlineExceeded), errors.Is(f.err, os.ErrDeadlineExceeded),
		errors.As(f.err, &timeout) && timeout.Timeout():
		return explainTimeout(f), true
	}
	return Explanation{}, false
}

func explainTimeout(f *connectError) Explanation {
	switch f.stage {
	case AtHandshake:
		return wait("%s accepts connections but does not answer to TLS in time: is something in between?", f.peer())
	case AtConnect:
		return wait("%s does not answer the CONNECT in time: trying again", f.peer())
	}
	return wait("%s does not answer in time: is the network up, and a firewall open for this port?", f.peer())
}

// peer names who was dialled.
func (e *connectError) peer() string {
	if e.proxy != "" {
		return "the proxy " + e.proxy
	}
	return e.endpoint
}

// explainClosed is about connections that end without a word.
func explainClosed(f *connectError) (Explanation, bool) {
	if !wasClosed(f.err) {
		return Explanation{}, false
	}
	if e, ok := explainOwn(f); ok && f.stage != atUp {
		return e, true
	}
	switch f.stage {
	case AtHandshake:
		return wait("%s closed the connection in the TLS handshake: is this an AWS data endpoint, and server_name right?",
			f.endpoint), true
	case AtConnect:
		return act("%s closed the connection without a CONNACK: the certificate is not registered in this account and "+
			"region, or not active", f.endpoint), true
	}
	return wait("the connection to %s was broken: connecting again", f.endpoint), true
}

func wasClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) || errors.Is(err, ErrLost) ||
		errors.Is(err, io.ErrClosedPipe)
}
