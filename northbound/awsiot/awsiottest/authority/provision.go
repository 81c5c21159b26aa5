package authority

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/service"
)

func denied(text string) *Rejected { return &Rejected{Status: 403, Code: "AccessDenied", Text: text} }

func invalidParameter(text string) *Rejected {
	return &Rejected{Status: 400, Code: "InvalidParameterException", Text: text}
}

// register is RegisterThing: it takes a token and makes of its certificate what the
// template says.
func (s *Service) register(name string, from service.Caller, r request) (answer map[string]any, rejected *Rejected) {
	invalid := &Rejected{Status: 400, Code: "InvalidCertificateOwnershipToken"}
	if r.Token == "" {
		invalid.Text = "Certificate ownership token cannot be empty."
		return nil, invalid
	}
	parameters, rejected := flat(r.Parameters)
	if rejected != nil {
		return nil, rejected
	}
	s.mu.Lock()
	t, owned := s.templates[name], s.tokens[r.Token]
	delete(s.tokens, r.Token) // nobody else takes it meanwhile
	s.mu.Unlock()
	defer func() {
		if answer == nil {
			s.giveBack(r.Token, owned)
		}
	}()
	c, known := s.registry.Certificate(owned.certificate)
	switch {
	case t == nil || t.Kind != Fleet:
		return nil, &Rejected{Status: 404, Code: "ResourceNotFoundException", Text: "There is no template " + name + "."}
	case t.Disabled:
		return nil, denied("The template is not enabled.")
	case !known || !time.Now().Before(owned.expires):
		invalid.Text = "Certificate ownership token is not valid."
		return nil, invalid
	}
	if rejected := s.ask(t, from, c, parameters); rejected != nil {
		return nil, rejected
	}
	thing, configuration, err := s.apply(&t.body, c.ID, parameters)
	if err != nil {
		return nil, asRejected(err)
	}
	device := make(map[string]any, len(configuration))
	for k, v := range configuration {
		device[k] = v
	}
	return map[string]any{"thingName": thing, "deviceConfiguration": device}, nil
}

// giveBack makes a token valid again that was not used after all.
func (s *Service) giveBack(text string, t token) {
	if t.certificate == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(t.expires) {
		s.tokens[text] = t
	} else if s.registry.Status(t.certificate) == registry.PendingActivation {
		s.registry.SetStatus(t.certificate, "")
	}
}

// flat checks that parameters are texts: nothing is nested.
func flat(given map[string]any) (map[string]string, *Rejected) {
	out := make(map[string]string, len(given))
	for name, v := range given {
		text, ok := v.(string)
		if !ok || len(name) > maximumKey || len(text) > maximumParameter {
			return nil, invalidParameter("Parameter " + name + " is no text, or too long.")
		}
		out[name] = text
	}
	return out, nil
}

// ask asks the template's hook, and puts its overrides over the parameters.
func (s *Service) ask(t *Template, from service.Caller, c registry.Certificate,
	parameters map[string]string) *Rejected {
	if t.Hook == nil {
		return nil
	}
	type answer struct {
		HookAnswer
		error
	}
	said := make(chan answer, 1)
	request := HookRequest{ClaimCertificateID: from.Certificate, CertificateID: c.ID, CertificatePEM: c.PEM(),
		TemplateARN: "arn:aws:iot:eu-central-1:123456789012:provisioningtemplate/" + t.Name, ClientID: from.Client,
		Parameters: maps.Clone(parameters)}
	go func() {
		a, err := t.Hook(request)
		said <- answer{a, err}
	}()
	late := time.NewTimer(hookLife)
	defer late.Stop()
	select {
	case <-late.C:
		return hookDenied("The pre-provisioning hook took too long.")
	case a := <-said:
		switch {
		case a.error != nil:
			return hookDenied("The pre-provisioning hook failed.")
		case !a.Allow:
			return hookDenied("Access Denied")
		}
		maps.Copy(parameters, a.ParameterOverrides)
	}
	return nil
}

func hookDenied(text string) *Rejected {
	return &Rejected{Status: 403, Code: "ACCESS_DENIED", Text: text}
}

// asRejected gives an error of the registry or of a template the form of the API.
func asRejected(err error) *Rejected {
	var e *registry.Error
	var m missing
	switch {
	case errors.As(err, &m):
		return invalidParameter(fmt.Sprintf("Parameter %s is missing.", string(m)))
	case errors.As(err, &e) && e.Code == "ResourceNotFoundException":
		return &Rejected{Status: 404, Code: e.Code, Text: e.Text}
	case errors.As(err, &e):
		return &Rejected{Status: 409, Code: "ResourceConflictsException", Text: e.Text}
	}
	return invalidParameter(err.Error())
}

// plan is what a template asks for, with all parameters in it.
type plan struct {
	thing      *registry.Thing
	groups     []string
	overrides  map[string]string // of the thing
	policies   map[string]string // documents by name; "" for one that exists
	status     registry.Status
	exclusive  bool
	parameters map[string]string // of the device's configuration
}

// apply makes of a certificate what a template says. Nothing is changed if it is
// refused.
func (s *Service) apply(b *body, certificate string, parameters map[string]string) (
	thing string, configuration map[string]string, err error) {
	given := maps.Clone(parameters)
	if given == nil {
		given = map[string]string{}
	}
	given["AWS::IoT::Certificate::Id"] = certificate
	f, err := newFill(b, given)
	if err != nil {
		return "", nil, err
	}
	p, err := f.plan()
	if err != nil {
		return "", nil, err
	}
	for name, document := range p.policies {
		if _, _, ok := s.registry.Policy(name); ok {
			continue
		}
		if document == "" {
			return "", nil, &registry.Error{Code: "ResourceNotFoundException", Text: "there is no policy " + name}
		}
		if err := s.registry.AddPolicy(name, document); err != nil {
			return "", nil, err
		}
	}
	if p.thing != nil {
		thing = p.thing.Name
		if err := s.makeThing(p); err != nil {
			return "", nil, err
		}
		if err := s.registry.Attach(certificate, thing, p.exclusive); err != nil {
			return "", nil, err
		}
	}
	for name := range p.policies {
		if err := s.registry.AttachPolicy(name, certificate); err != nil {
			return "", nil, err
		}
	}
	s.registry.SetStatus(certificate, p.status)
	return thing, p.parameters, nil
}

// plan evaluates the resources.
func (f *fill) plan() (p plan, err error) {
	p.policies = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(f.body.Resources)) {
		r := f.body.Resources[name]
		switch r.Type {
		case "AWS::IoT::Thing":
			err = f.planThing(&p, r)
		case "AWS::IoT::Policy":
			err = f.planPolicy(&p, r)
		case "AWS::IoT::Certificate":
			err = f.planCertificate(&p, r)
		}
		if err != nil {
			return p, err
		}
	}
	p.parameters, err = f.texts(map[string]any(f.body.DeviceConfiguration))
	return p, err
}

func (f *fill) planThing(p *plan, r resource) (err error) {
	t := &registry.Thing{}
	if t.Name, err = f.text(r.Properties["ThingName"]); err != nil {
		return err
	}
	if t.Attributes, err = f.texts(r.Properties["AttributePayload"]); err != nil {
		return err
	}
	if v := r.Properties["ThingTypeName"]; v != nil {
		if t.Type, err = f.text(v); err != nil {
			return err
		}
	}
	if v := r.Properties["ThingGroups"]; v != nil {
		if p.groups, err = f.list(v); err != nil {
			return err
		}
	}
	p.thing, p.overrides = t, r.OverrideSettings
	return nil
}

func (f *fill) planPolicy(p *plan, r resource) error {
	if v := r.Properties["PolicyName"]; v != nil {
		name, err := f.text(v)
		if err == nil {
			p.policies[name] = ""
		}
		return err
	}
	document, err := f.text(r.Properties["PolicyDocument"])
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(document))
	p.policies["policy-"+hex.EncodeToString(sum[:8])] = document
	return nil
}

// planCertificate reads the certificate's part. ThingPrincipalType is what
// AttachThingPrincipal calls it; that templates know it is not confirmed.
func (f *fill) planCertificate(p *plan, r resource) error {
	p.status = registry.Active
	if v := r.Properties["Status"]; v != nil {
		text, err := f.text(v)
		if err != nil {
			return err
		}
		p.status = registry.Status(strings.ToUpper(text))
	}
	if p.status != registry.Active && p.status != registry.Inactive {
		return fmt.Errorf("status %q of the certificate is neither ACTIVE nor INACTIVE", p.status)
	}
	if v := r.Properties["ThingPrincipalType"]; v != nil {
		text, err := f.text(v)
		p.exclusive = text == "EXCLUSIVE_THING"
		return err
	}
	return nil
}

// makeThing adds the thing, or brings one that exists to what the template and its
// OverrideSettings say. Without settings another thing of that name is a conflict.
func (s *Service) makeThing(p plan) error {
	have, exists := s.registry.Thing(p.thing.Name)
	if !exists {
		if err := s.registry.AddThing(*p.thing); err != nil {
			return err
		}
	} else if err := s.override(p, have); err != nil {
		return err
	}
	if exists && p.overrides["ThingGroups"] == "DO_NOTHING" {
		return nil
	}
	for _, g := range p.groups {
		if err := s.registry.Join(g, p.thing.Name); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) override(p plan, have registry.Thing) error {
	next := have
	for part, differs := range map[string]bool{"AttributePayload": !maps.Equal(have.Attributes, p.thing.Attributes),
		"ThingTypeName": have.Type != p.thing.Type} {
		if !differs {
			continue
		}
		switch p.overrides[part] {
		case "DO_NOTHING":
		case "REPLACE", "MERGE":
			if part == "ThingTypeName" {
				next.Type = p.thing.Type
				continue
			}
			merged := map[string]string{}
			if p.overrides[part] == "MERGE" {
				maps.Copy(merged, have.Attributes)
			}
			maps.Copy(merged, p.thing.Attributes)
			next.Attributes = merged
		default:
			return &registry.Error{Code: "ResourceConflictsException",
				Text: "thing " + have.Name + " exists, and its " + part + " differs"}
		}
	}
	if next.Type == have.Type && maps.Equal(next.Attributes, have.Attributes) {
		return nil
	}
	return s.registry.ChangeThing(have.Name, func(t *registry.Thing) { t.Type, t.Attributes = next.Type, next.Attributes })
}
