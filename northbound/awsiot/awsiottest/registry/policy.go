package registry

import (
	"maps"
	"slices"
	"strconv"

	"fieldbridge/northbound/awsiot/awsiottest/rules"
)

// mostPolicies is how many policies one certificate may have.
const mostPolicies = 10

// mostVersions is how many versions of a policy are kept.
const mostVersions = 5

type policy struct {
	versions map[string]string // documents, by version
	latest   int
	current  string // version in force
	rules    rules.Policy
}

// AddPolicy adds a policy in AWS's language.
func (r *Registry) AddPolicy(name, document string) error {
	p, err := rules.Parse([]byte(document))
	if err != nil {
		return &Error{Code: "MalformedPolicyException", Text: err.Error()}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if have := r.policies[name]; have != nil {
		return &Error{Code: "ResourceAlreadyExistsException", Text: "policy " + name + " exists"}
	}
	r.policies[name] = &policy{versions: map[string]string{"1": document}, latest: 1, current: "1", rules: p}
	return nil
}

// AddPolicyVersion adds a version of a policy and returns its id; inForce puts it
// in force.
func (r *Registry) AddPolicyVersion(name, document string, inForce bool) (string, error) {
	parsed, err := rules.Parse([]byte(document))
	if err != nil {
		return "", &Error{Code: "MalformedPolicyException", Text: err.Error()}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.policies[name]
	switch {
	case p == nil:
		return "", notFound("policy", name)
	case len(p.versions) >= mostVersions:
		return "", &Error{Code: "VersionsLimitExceededException", Text: "a policy has at most five versions"}
	}
	p.latest++
	version := strconv.Itoa(p.latest)
	p.versions[version] = document
	if inForce {
		p.current, p.rules = version, parsed
	}
	return version, nil
}

// SetPolicyVersion puts a version of a policy in force.
func (r *Registry) SetPolicyVersion(name, version string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.policies[name]
	if p == nil || p.versions[version] == "" {
		return notFound("version of policy", name)
	}
	parsed, err := rules.Parse([]byte(p.versions[version]))
	if err != nil {
		return err // it was read when it was added
	}
	p.current, p.rules = version, parsed
	return nil
}

// DeletePolicyVersion forgets a version that is not in force.
func (r *Registry) DeletePolicyVersion(name, version string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.policies[name]
	switch {
	case p == nil || p.versions[version] == "":
		return notFound("version of policy", name)
	case p.current == version:
		return &Error{Code: "DeleteConflictException", Text: "that version of the policy is in force"}
	}
	delete(p.versions, version)
	return nil
}

// Policy returns the document in force and its version, and whether there is one.
func (r *Registry) Policy(name string) (document, version string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.policies[name]; p != nil {
		return p.versions[p.current], p.current, true
	}
	return "", "", false
}

// PolicyVersions returns the versions of a policy, the oldest first.
func (r *Registry) PolicyVersions(name string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.policies[name]; p != nil {
		return slices.Sorted(maps.Keys(p.versions))
	}
	return nil
}

// Policies returns the names of all policies, sorted.
func (r *Registry) Policies() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.policies))
}

// DeletePolicy forgets a policy that is attached to nobody.
func (r *Registry) DeletePolicy(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.policies[name] == nil {
		return notFound("policy", name)
	}
	for _, c := range r.certificates {
		if slices.Contains(c.Policies, name) {
			return &Error{Code: "DeleteConflictException", Text: "policy " + name + " is attached to a certificate"}
		}
	}
	delete(r.policies, name)
	return nil
}

// AttachPolicy attaches a policy to a certificate.
func (r *Registry) AttachPolicy(name, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.certificates[id]
	switch {
	case c == nil:
		return notFound("certificate", id)
	case r.policies[name] == nil:
		return notFound("policy", name)
	case slices.Contains(c.Policies, name):
		return nil
	case len(c.Policies) >= mostPolicies:
		return &Error{Code: "LimitExceededException", Text: "a certificate has at most ten policies"}
	}
	c.Policies = append(c.Policies, name)
	return nil
}

// DetachPolicy ends what [Registry.AttachPolicy] began.
func (r *Registry) DetachPolicy(name, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.certificates[id]
	if c == nil {
		return notFound("certificate", id)
	}
	c.Policies = slices.DeleteFunc(c.Policies, func(p string) bool { return p == name })
	return nil
}
