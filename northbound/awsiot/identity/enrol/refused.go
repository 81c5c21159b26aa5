package enrol

import (
	"fmt"
	"strings"

	"fieldbridge/northbound/awsiot/uplink"
)

// Rejection is the cloud's no to a request.
type Rejection struct {
	Topic   string `json:"-"`
	Status  int    `json:"statusCode"`
	Code    string `json:"errorCode"`
	Message string `json:"errorMessage"`
}

func (r *Rejection) Error() string {
	return fmt.Sprintf("%s: %d %s: %s", r.Topic, r.Status, r.Code, r.Message)
}

// has reports whether the code has one of the words: AWS writes one code in several
// ways (ThrottlingException, Throttling, RequestThrottled).
func (r *Rejection) has(words ...string) bool {
	code := strings.ToLower(r.Code)
	for _, w := range words {
		if strings.Contains(code, w) {
			return true
		}
	}
	return false
}

// TokenOver reports whether the cloud no longer knows the certificate: it was used
// already, or its hour is over. The code says so, whatever the status.
func (r *Rejection) TokenOver() bool { return r.has("ownershiptoken") }

// Final reports whether asking again soon is of no use: a person must act.
func (r *Rejection) Final() bool { return r.Explain().Act }

// Explain implements [uplink.Explained].
func (r *Rejection) Explain() uplink.Explanation {
	t := template(r.Topic)
	switch {
	case r.TokenOver():
		return uplink.Wait("the cloud no longer knows the certificate that it made for us (its hour is over, or it is " +
			"registered already): going on with it, or asking for a new one")
	case r.has("throttl", "toomanyrequests") || r.Status == 429:
		return uplink.Wait("the cloud makes no certificate for us now, too many gateways ask at once (%s): trying again "+
			"more slowly", r.Code)
	case r.has("limitexceeded"):
		return uplink.Act("the account may have no more certificates or things (%s, %s): have the limit of AWS IoT raised",
			r.Code, r.Message)
	case r.has("access_denied", "accessdenied", "forbidden", "unauthorized") || r.Status == 403:
		return r.denied(t)
	case t != "" && (r.has("conflict") || r.Status == 409):
		return uplink.Act("the cloud has a thing or a policy already that template %s would have to change (%s): add "+
			"OverrideSettings to the template, as 'fieldbridge fleet template' prints it", t, r.Message)
	case t != "" && (r.has("notfound") || r.Status == 404):
		return uplink.Act("there is no provisioning template %s in this account and region, or it is switched off (%s): "+
			"correct northbound.awsiot.identity.provision.template", t, r.Message)
	case r.Status == 400 && t != "":
		return uplink.Act("template %s does not take what we send (%s: %s): correct "+
			"northbound.awsiot.identity.provision.parameters", t, r.Code, r.Message)
	case r.Status == 400:
		return uplink.Act("the cloud does not take our certificate request (%s: %s): it wants RSA 2048 or more, or ECDSA "+
			"P-256, P-384 or P-521", r.Code, r.Message)
	}
	return uplink.Wait("the cloud cannot give us an identity now (%d %s: %s): trying again", r.Status, r.Code, r.Message)
}

func (r *Rejection) denied(t string) uplink.Explanation {
	if t == "" {
		return uplink.Act("the cloud makes no certificate for us (%d %s: %s): allow it in the policy of the claim, as "+
			"'fieldbridge fleet template' prints it", r.Status, r.Code, r.Message)
	}
	return uplink.Act("the cloud does not let this gateway in (%d %s: %s): the pre-provisioning hook of template %s has "+
		"refused it, failed or taken more than 5 s; see its log, and whether this gateway is on its list",
		r.Status, r.Code, r.Message, t)
}

// deniedError is a request that could not be made.
type deniedError struct {
	topic string
	err   error
}

func (e *deniedError) Error() string { return fmt.Sprintf("%s: %v", e.topic, e.err) }
func (e *deniedError) Unwrap() error { return e.err }

// Explain implements [uplink.Explained].
func (e *deniedError) Explain() uplink.Explanation {
	if text := e.err.Error(); strings.Contains(text, "0x87") {
		return uplink.Act("the cloud does not let us ask for an identity (%v): allow %s in the policy of the certificate, "+
			"as 'fieldbridge fleet template' prints it", e.err, e.topic)
	}
	return uplink.Wait("asking the cloud for an identity (%v): trying again", e.err)
}

// silentError is a request without an answer.
type silentError struct {
	topic string
	err   error
}

func (e *silentError) Error() string { return fmt.Sprintf("%s: no answer: %v", e.topic, e.err) }
func (e *silentError) Unwrap() error { return e.err }

// Explain implements [uplink.Explained].
func (e *silentError) Explain() uplink.Explanation {
	return uplink.Wait("the cloud did not answer on %s: trying again", e.topic)
}
