package life

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fieldbridge/northbound/awsiot/identity/key"
	"fieldbridge/northbound/awsiot/uplink"
)

// ofAWS reports whether AWS has signed a certificate, and not an authority of the
// user's.
func ofAWS(c *x509.Certificate) bool {
	return slices.Contains(c.Issuer.Organization, "Amazon.com Inc.")
}

// inactive is that the cloud refuses a certificate of the user's authority again and
// again, as it does before it is registered and active.
type inactive struct {
	own   *x509.Certificate
	times int
	err   error
}

func (e *inactive) Error() string { return e.err.Error() }
func (e *inactive) Unwrap() error { return e.err }

// Explain implements [uplink.Explained].
func (e *inactive) Explain() uplink.Explanation {
	issuer := e.own.Issuer.CommonName
	if issuer == "" {
		issuer = e.own.Issuer.String()
	}
	return uplink.Act("the cloud has closed the connection %d times without a word, so our certificate is known but not "+
		"active, or its authority %s is not registered in this account and region: activate it, and see what registers new "+
		"ones there (a template must find all its parameters in the certificate's subject)", e.times, issuer)
}

// ended is that the cloud refuses again and again a certificate that it took before.
type ended struct {
	of    Choice
	times int
	err   error
}

func (e *ended) Error() string { return e.err.Error() }
func (e *ended) Unwrap() error { return e.err }

// Explain implements [uplink.Explained].
func (e *ended) Explain() uplink.Explanation {
	another := "give the gateway another identity ('fieldbridge identity provision' or 'csr')"
	if e.of.dir != "" {
		another = "put a claim into " + e.of.dir
	}
	return uplink.Act("the cloud has closed the connection %d times without a word, and it took our certificate before, "+
		"so that is revoked, inactive or deleted there: make certificate %s active again, or %s",
		e.times, e.of.is.ID(), another)
}

// missing is that there is no identity and no way to one.
type missing struct{ s *Settings }

func (e *missing) Error() string { return "there is no identity" }

// Explain implements [uplink.Explained].
func (e *missing) Explain() uplink.Explanation {
	if e.s.Provision.Template != "" {
		return uplink.Act("the gateway has no identity yet: get one with 'fieldbridge identity provision', "+
			"or name a claim in northbound.awsiot.identity.provision (template %s)", e.s.Provision.Template)
	}
	return uplink.Act("the gateway has no identity yet: have its request signed ('fieldbridge identity csr') and " +
		"install the certificate ('fieldbridge identity install')")
}

// Missing says why there is nothing to connect with, and what to do.
func (c Choice) Missing() (why, do string) {
	_, err := c.Pair()
	x := uplink.Explain(err)
	return strings.TrimSuffix(x.Text, ": "+x.Fix), x.Fix
}

// unusable is an identity of the store whose certificate or key cannot be used.
type unusable struct {
	name string
	err  error
}

func (e *unusable) Error() string { return fmt.Sprintf("identity %s: %v", e.name, e.err) }
func (e *unusable) Unwrap() error { return e.err }

// Explain implements [uplink.Explained].
func (e *unusable) Explain() uplink.Explanation {
	if !errors.Is(e.err, key.ErrLost) && !lasting(e.err) {
		return uplink.Wait("the key of the gateway's identity cannot be used now (%v): trying again", e.err)
	}
	return uplink.Act("the gateway's identity %s cannot be used (%v): put a claim in its place, or have a new one made "+
		"with 'fieldbridge identity provision' or 'csr'", e.name, e.err)
}
