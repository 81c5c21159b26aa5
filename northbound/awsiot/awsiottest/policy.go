package awsiottest

import (
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/rules"
)

// SetPolicy attaches a policy to a certificate. As with AWS it takes effect
// after a while: [Options.PolicyDelay].
func (c *Cloud) SetPolicy(certificateID string, p rules.Policy) {
	set := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.policies[certificateID] = p
	}
	if c.options.PolicyDelay == 0 {
		set()
		return
	}
	time.AfterFunc(c.options.PolicyDelay, set)
}

// allowed decides about an action of a certificate's holder.
func (c *Cloud) allowed(who *principal, action, resource string) bool {
	c.mu.Lock()
	p, ok := c.policies[who.certificate]
	c.mu.Unlock()
	if !ok {
		p = rules.DefaultPolicy
	}
	return p.Allows(action, resource, who.variables)
}

// principal is who is at the other end of a connection.
type principal struct {
	certificate string // id
	thing       string
	variables   map[string]string
}

func newPrincipal(certificate, thing, client, address string) *principal {
	return &principal{certificate: certificate, thing: thing, variables: map[string]string{
		"iot:ClientId":                       client,
		"iot:Connection.Thing.ThingName":     thing,
		"iot:Certificate.Subject.CommonName": thing,
		"iot:Connection.Thing.IsAttached":    "true",
		"aws:SourceIp":                       address,
	}}
}
