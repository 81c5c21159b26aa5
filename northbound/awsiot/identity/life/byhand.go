package life

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"fieldbridge/northbound/awsiot/identity/enrol"
	"fieldbridge/northbound/awsiot/identity/kept"
	"fieldbridge/northbound/awsiot/identity/key"
	"fieldbridge/northbound/awsiot/uplink"
)

// This file is what a person does with an identity, beside a running gateway or before
// its first start.

// By returns the choice of a claim that a person had made for this gateway.
func (l *Life) By(dir string) (Choice, error) {
	by, err := Claim(dir)
	if err != nil {
		return Choice{}, err
	}
	return Choice{Kind: ByClaim, Pair: by.pair, by: by, way: kept.Trusted}, nil
}

// Request returns a certificate request, in PEM, for an authority of the user's. It is
// the same until its certificate is installed.
func (l *Life) Request(ctx context.Context, place key.Place) ([]byte, error) {
	draft, err := l.Draft(ctx, kept.OwnCA, place)
	if err != nil || draft.Request != nil {
		return draft.Request, err
	}
	k, err := key.Open(ctx, draft.Key)
	if err != nil {
		return nil, err
	}
	request, err := enrol.Request(k, l.o.Gateway)
	if err != nil {
		return nil, err
	}
	return request, l.store.SetRequest(draft, request)
}

// What [Life.Install] may return.
var (
	ErrNoRequest = errors.New("no request waits for a certificate: make one with 'fieldbridge identity csr' first")
	ErrNotOurs   = errors.New("none of its certificates is for the key of the request: have the request signed that " +
		"'fieldbridge identity csr' prints")
)

// Install takes what an authority made of the request: certificates in PEM or DER, in
// any order. The identity is on trial then. It returns what was mended or is to be
// known, for people.
func (l *Life) Install(ctx context.Context, answer []byte) (notes []string, err error) {
	certs, err := parse(answer)
	if err != nil {
		return nil, err
	}
	i, leaf, err := l.belongs(ctx, certs)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	switch {
	case !now.Before(leaf.NotAfter) && l.synced():
		return nil, fmt.Errorf("the certificate has expired on %s: have another made", uplink.Day(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		notes = append(notes, fmt.Sprintf("the certificate is valid from %s only, the clock here says %s",
			uplink.Day(leaf.NotBefore), uplink.Day(now)))
	}
	if len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return nil, errors.New("the certificate is not made for clients (extended key usage): have one made with clientAuth")
	}
	chain := chainOf(leaf, certs)
	if !slices.EqualFunc(chain, certs, (*x509.Certificate).Equal) {
		notes = append(notes, fmt.Sprintf("of %d certificates %d are kept, ours first, then who signed it", len(certs),
			len(chain)))
	}
	if err := l.store.SetCertificate(i, encode(chain), ""); err != nil {
		return nil, err
	}
	return notes, l.store.Try(i)
}

// belongs returns the draft whose key one of the certificates is for, and that one.
func (l *Life) belongs(ctx context.Context, certs []*x509.Certificate) (*kept.Identity, *x509.Certificate, error) {
	draft, err := l.store.Draft(kept.OwnCA)
	if err != nil {
		return nil, nil, err
	}
	if draft == nil {
		return nil, nil, ErrNoRequest
	}
	k, err := key.Open(ctx, draft.Key)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range certs {
		if enrol.Belongs(c, k.Public()) {
			return draft, c, nil
		}
	}
	return nil, nil, ErrNotOurs
}

// parse returns the certificates of a PEM text, or of DER.
func parse(answer []byte) (certs []*x509.Certificate, err error) {
	rest := answer
	for b, next := pem.Decode(rest); b != nil; b, next = pem.Decode(next) {
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		certs, err = x509.ParseCertificates(answer)
		if err != nil || len(certs) == 0 {
			return nil, errors.New("there is no certificate in it")
		}
	}
	return certs, nil
}

// chainOf returns a certificate and, of others, who signed it, and so on. A root, which
// everybody has or nobody trusts, is left out.
func chainOf(leaf *x509.Certificate, others []*x509.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{leaf}
	for last := leaf; len(chain) <= len(others); {
		i := slices.IndexFunc(others, func(c *x509.Certificate) bool {
			return !slices.ContainsFunc(chain, c.Equal) && !bytes.Equal(c.RawSubject, c.RawIssuer) &&
				bytes.Equal(last.RawIssuer, c.RawSubject) && last.CheckSignatureFrom(c) == nil
		})
		if i < 0 {
			break
		}
		last = others[i]
		chain = append(chain, last)
	}
	return chain
}

func encode(chain []*x509.Certificate) []byte {
	var text []byte
	for _, c := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

// Certificate returns the certificates of a choice in PEM, nil where they lie in files.
func (c Choice) Certificate() []byte {
	if c.is == nil {
		return nil
	}
	return c.is.Certificate
}

// Own returns certificate and key of a choice, or why there are none yet: those of a
// claim are not the gateway's.
func (c Choice) Own() uplink.Pair {
	if c.by == nil {
		return c.Pair
	}
	return func() (tls.Certificate, error) { return tls.Certificate{}, &awaited{c.by} }
}

// awaited is that the gateway has a claim and has not asked yet.
type awaited struct{ by *Found }

func (e *awaited) Error() string { return "there is no identity yet" }

// Explain implements [uplink.Explained].
func (e *awaited) Explain() uplink.Explanation {
	return uplink.Act("the gateway has no identity yet: start it, 'fieldbridge run' asks for one by the claim in %s",
		filepath.Dir(e.by.Files[0]))
}

// Ready makes the key for a claim that is good for five minutes only, before those run.
func (l *Life) Ready(ctx context.Context, place key.Place) error {
	_, err := l.Draft(ctx, kept.Trusted, place)
	return err
}

// ProvisionNow is [Life.Provision] over the machine's network, until it is done, a person
// must do something, or ctx ends. What passes by itself is told and tried again: the claim
// is good for minutes, and so is who waits. Its error says what to do.
func (l *Life) ProvisionNow(ctx context.Context, c Choice, cfg *uplink.Config, s *Settings,
	tell func(why string)) error {
	for {
		a := &uplink.Attempt{Config: cfg, Network: new(uplink.Machine), Sent: func() {}}
		err := l.Provision(ctx, c, a, s)
		if err == nil {
			return nil
		}
		why := uplink.Explain(err)
		if why.Act || ctx.Err() != nil {
			return errors.New(why.Text)
		}
		tell(why.Text)
		select {
		case <-ctx.Done():
			return errors.New(why.Text)
		case <-time.After(l.Wait(c, cfg.Backoff)):
		}
	}
}
