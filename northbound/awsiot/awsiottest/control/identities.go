package control

import (
	"crypto/x509"
	"encoding/pem"
	"slices"

	"fieldbridge/northbound/awsiot/awsiottest/authority"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// state returns the state of a certificate that is made or registered.
func state(active bool) registry.Status {
	if active {
		return registry.Active
	}
	return registry.Inactive
}

func made(c registry.Certificate) fields {
	return fields{"certificateArn": arnPrefix + "cert/" + c.ID, "certificateId": c.ID, "certificatePem": c.PEM()}
}

func parsePEM(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, &registry.Error{Code: "CertificateValidationException", Text: "it is no certificate in PEM"}
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, &registry.Error{Code: "CertificateValidationException", Text: err.Error()}
	}
	return cert, nil
}

// register is RegisterCertificate, with and without a CA.
func register(withoutCA bool) handler {
	return func(c *call) (any, error) {
		var q struct {
			PEM    string          `json:"certificatePem"`
			Status registry.Status `json:"status"`
		}
		if err := c.read(&q); err != nil {
			return nil, err
		}
		leaf, err := parsePEM(q.PEM)
		if err != nil {
			return nil, err
		}
		if q.Status == "" {
			q.Status = state(c.is("setAsActive"))
		}
		id, err := c.Authority.Register(leaf, q.Status, withoutCA)
		return fields{"certificateArn": arnPrefix + "cert/" + id, "certificateId": id}, err
	}
}

var certificateRoutes = map[string]handler{
	"POST /keys-and-certificate": func(c *call) (any, error) {
		cert, private, public, err := c.Authority.WithKeys(state(c.is("setAsActive")))
		if err != nil {
			return nil, err
		}
		f := made(cert)
		f["keyPair"] = fields{"PrivateKey": private, "PublicKey": public}
		return f, nil
	},
	"POST /certificates": func(c *call) (any, error) {
		var q struct {
			CSR string `json:"certificateSigningRequest"`
		}
		if err := c.read(&q); err != nil {
			return nil, err
		}
		cert, rejected := c.Authority.FromCSR(q.CSR, state(c.is("setAsActive")))
		if rejected != nil {
			return nil, &registry.Error{Code: "InvalidRequestException", Text: rejected.Text}
		}
		return made(cert), nil
	},
	"GET /certificates/{id}": func(c *call) (any, error) {
		cert, ok := c.Registry.Certificate(c.PathValue("id"))
		if !ok {
			return nil, notFound("certificate", c.PathValue("id"))
		}
		return fields{"certificateDescription": describeCertificate(cert)}, nil
	},
	"PUT /certificates/{id}": func(c *call) (any, error) {
		id, to := c.PathValue("id"), registry.Status(c.URL.Query().Get("newStatus"))
		if c.Registry.Status(id) == "" {
			return nil, notFound("certificate", id)
		}
		if to != registry.Active && to != registry.Inactive && to != registry.Revoked {
			return nil, &registry.Error{Code: "InvalidRequestException", Text: "newStatus is ACTIVE, INACTIVE or REVOKED"}
		}
		c.Registry.SetStatus(id, to)
		return nil, nil
	},
	"DELETE /certificates/{id}": func(c *call) (any, error) {
		return nil, c.Registry.DeleteCertificate(c.PathValue("id"), c.is("forceDelete"))
	},
	"GET /certificates": func(c *call) (any, error) {
		all := []fields{}
		for _, cert := range c.Registry.Certificates() {
			all = append(all, fields{"certificateArn": arnPrefix + "cert/" + cert.ID, "certificateId": cert.ID,
				"status": cert.Status, "creationDate": seconds(cert.Created)})
		}
		part, next := page(c, all, "pageSize", "marker")
		return listed("certificates", part, "nextMarker", next), nil
	},
	"POST /certificate/register":       register(false),
	"POST /certificate/register-no-ca": register(true),
	"GET /registrationcode": func(c *call) (any, error) {
		return fields{"registrationCode": c.Authority.RegistrationCode()}, nil
	},
	"POST /cacertificate": registerCA,
	"GET /cacertificate/{id}": func(c *call) (any, error) {
		for _, ca := range c.Authority.CAs() {
			if ca.ID == c.PathValue("id") {
				return fields{"certificateDescription": describeCA(ca),
					"registrationConfig": fields{"templateName": ca.Template}}, nil
			}
		}
		return nil, notFound("CA", c.PathValue("id"))
	},
	"PUT /cacertificate/{id}": func(c *call) (any, error) {
		q := c.URL.Query()
		return nil, c.Authority.ChangeCA(c.PathValue("id"), func(ca *authority.CA) {
			if to := q.Get("newStatus"); to != "" {
				ca.Status = registry.Status(to)
			}
			if to := q.Get("newAutoRegistrationStatus"); to != "" {
				ca.AutoRegister = to == "ENABLE"
			}
		})
	},
	"DELETE /cacertificate/{id}": func(c *call) (any, error) { return nil, c.Authority.DeleteCA(c.PathValue("id")) },
	"GET /cacertificates": func(c *call) (any, error) {
		all := []fields{}
		for _, ca := range c.Authority.CAs() {
			all = append(all, fields{"certificateArn": arnPrefix + "cacert/" + ca.ID, "certificateId": ca.ID,
				"status": ca.Status})
		}
		part, next := page(c, all, "pageSize", "marker")
		return listed("certificates", part, "nextMarker", next), nil
	},
}

func describeCertificate(cert registry.Certificate) fields {
	f := made(cert)
	f["status"], f["creationDate"] = cert.Status, seconds(cert.Created)
	f["ownedBy"], f["certificateMode"] = Account, "DEFAULT"
	if cert.CA != "" {
		f["caCertificateId"] = cert.CA
	}
	if leaf, err := x509.ParseCertificate(cert.DER); err == nil {
		f["validity"] = fields{"notBefore": seconds(leaf.NotBefore), "notAfter": seconds(leaf.NotAfter)}
	}
	return f
}

func describeCA(ca authority.CA) fields {
	c := registry.Certificate{ID: ca.ID, DER: ca.Certificate.Raw}
	auto := map[bool]string{true: "ENABLE", false: "DISABLE"}[ca.AutoRegister]
	return fields{"certificateArn": arnPrefix + "cacert/" + ca.ID, "certificateId": ca.ID, "certificatePem": c.PEM(),
		"status": ca.Status, "autoRegistrationStatus": auto, "ownedBy": Account,
		"validity": fields{"notBefore": seconds(ca.Certificate.NotBefore), "notAfter": seconds(ca.Certificate.NotAfter)}}
}

func registerCA(c *call) (any, error) {
	var q struct {
		CA     string `json:"caCertificate"`
		Proof  string `json:"verificationCertificate"`
		Mode   string `json:"certificateMode"`
		Config struct {
			TemplateName string `json:"templateName"`
			TemplateBody string `json:"templateBody"`
		} `json:"registrationConfig"`
	}
	if err := c.read(&q); err != nil {
		return nil, err
	}
	cert, err := parsePEM(q.CA)
	if err != nil {
		return nil, err
	}
	if q.Mode != "SNI_ONLY" {
		proof, err := parsePEM(q.Proof)
		if err != nil {
			return nil, err
		}
		if err := c.Authority.Verify(cert, proof); err != nil {
			return nil, err
		}
	}
	name := q.Config.TemplateName
	if q.Config.TemplateBody != "" {
		name = "ca-" + registry.CertificateID(cert.Raw)[:16]
		err := c.Authority.AddTemplate(authority.Template{Name: name, Kind: authority.JITP, Body: q.Config.TemplateBody})
		if err != nil {
			return nil, err
		}
	}
	id, err := c.Authority.RegisterCA(authority.CA{Certificate: cert, Status: state(c.is("setAsActive")),
		AutoRegister: c.is("allowAutoRegistration"), Template: name})
	return fields{"certificateArn": arnPrefix + "cacert/" + id, "certificateId": id}, err
}

type policyRequest struct {
	Document string `json:"policyDocument"`
	Target   string `json:"target"`
}

func policyHandler(do func(c *call, name string, q policyRequest) (any, error)) handler {
	return func(c *call) (any, error) {
		var q policyRequest
		if err := c.read(&q); err != nil {
			return nil, err
		}
		return do(c, c.PathValue("name"), q)
	}
}

var policyRoutes = map[string]handler{
	"POST /policies/{name}": policyHandler(func(c *call, name string, q policyRequest) (any, error) {
		return fields{"policyName": name, "policyArn": arnPrefix + "policy/" + name, "policyDocument": q.Document,
			"policyVersionId": "1"}, c.Registry.AddPolicy(name, q.Document)
	}),
	"GET /policies/{name}": policyHandler(func(c *call, name string, _ policyRequest) (any, error) {
		document, version, ok := c.Registry.Policy(name)
		if !ok {
			return nil, notFound("policy", name)
		}
		return fields{"policyName": name, "policyArn": arnPrefix + "policy/" + name, "policyDocument": document,
			"defaultVersionId": version}, nil
	}),
	"DELETE /policies/{name}": policyHandler(func(c *call, name string, _ policyRequest) (any, error) {
		return nil, c.Registry.DeletePolicy(name)
	}),
	"GET /policies": func(c *call) (any, error) {
		all := []fields{}
		for _, name := range c.Registry.Policies() {
			all = append(all, fields{"policyName": name, "policyArn": arnPrefix + "policy/" + name})
		}
		part, next := page(c, all, "pageSize", "marker")
		return listed("policies", part, "nextMarker", next), nil
	},
	"POST /policies/{name}/version": policyHandler(func(c *call, name string, q policyRequest) (any, error) {
		version, err := c.Registry.AddPolicyVersion(name, q.Document, c.is("setAsDefault"))
		return fields{"policyArn": arnPrefix + "policy/" + name, "policyDocument": q.Document, "policyVersionId": version,
			"isDefaultVersion": c.is("setAsDefault")}, err
	}),
	"GET /policies/{name}/version": policyHandler(func(c *call, name string, _ policyRequest) (any, error) {
		_, current, ok := c.Registry.Policy(name)
		if !ok {
			return nil, notFound("policy", name)
		}
		all := []fields{}
		for _, v := range c.Registry.PolicyVersions(name) {
			all = append(all, fields{"versionId": v, "isDefaultVersion": v == current})
		}
		return fields{"policyVersions": all}, nil
	}),
	"DELETE /policies/{name}/version/{version}": policyHandler(func(c *call, name string, _ policyRequest) (any, error) {
		return nil, c.Registry.DeletePolicyVersion(name, c.PathValue("version"))
	}),
	"PATCH /policies/{name}/version/{version}": policyHandler(func(c *call, name string, _ policyRequest) (any, error) {
		return nil, c.Registry.SetPolicyVersion(name, c.PathValue("version"))
	}),
	"POST /policy-targets/{name}": policyHandler(func(c *call, name string, _ policyRequest) (any, error) {
		arns := []string{}
		for _, cert := range c.Registry.Certificates() {
			if slices.Contains(cert.Policies, name) {
				arns = append(arns, arnPrefix+"cert/"+cert.ID)
			}
		}
		return fields{"targets": arns}, nil
	}),
	"PUT /target-policies/{name}": policyHandler(func(c *call, name string, q policyRequest) (any, error) {
		return nil, c.Registry.AttachPolicy(name, nameOf(q.Target))
	}),
	"POST /target-policies/{name}": policyHandler(func(c *call, name string, q policyRequest) (any, error) {
		return nil, c.Registry.DetachPolicy(name, nameOf(q.Target))
	}),
	"POST /attached-policies/{target}": func(c *call) (any, error) {
		cert, ok := c.Registry.Certificate(nameOf(c.PathValue("target")))
		if !ok {
			return nil, notFound("certificate", c.PathValue("target"))
		}
		all := []fields{}
		for _, name := range cert.Policies {
			all = append(all, fields{"policyName": name, "policyArn": arnPrefix + "policy/" + name})
		}
		return fields{"policies": all}, nil
	},
}

type templateRequest struct {
	Name        string         `json:"templateName"`
	Description string         `json:"description"`
	Body        string         `json:"templateBody"`
	Enabled     *bool          `json:"enabled"`
	Type        authority.Kind `json:"type"`
}

var templateRoutes = map[string]handler{
	"POST /provisioning-templates": func(c *call) (any, error) {
		var q templateRequest
		if err := c.read(&q); err != nil {
			return nil, err
		}
		if _, ok := c.Authority.Template(q.Name); ok {
			return nil, &registry.Error{Code: "ResourceAlreadyExistsException", Text: "template " + q.Name + " exists"}
		}
		err := c.Authority.AddTemplate(authority.Template{Name: q.Name, Description: q.Description, Body: q.Body,
			Kind: q.Type, Disabled: q.Enabled == nil || !*q.Enabled})
		return fields{"templateName": q.Name, "templateArn": arnPrefix + "provisioningtemplate/" + q.Name,
			"defaultVersionId": 1}, err
	},
	"GET /provisioning-templates/{name}": func(c *call) (any, error) {
		t, ok := c.Authority.Template(c.PathValue("name"))
		if !ok {
			return nil, notFound("template", c.PathValue("name"))
		}
		return describeTemplate(t), nil
	},
	"PATCH /provisioning-templates/{name}": func(c *call) (any, error) {
		t, ok := c.Authority.Template(c.PathValue("name"))
		if !ok {
			return nil, notFound("template", c.PathValue("name"))
		}
		q := templateRequest{Description: t.Description}
		if err := c.read(&q); err != nil {
			return nil, err
		}
		t.Description = q.Description
		if q.Enabled != nil {
			t.Disabled = !*q.Enabled
		}
		return nil, c.Authority.AddTemplate(t)
	},
	"POST /provisioning-templates/{name}/versions": func(c *call) (any, error) {
		t, ok := c.Authority.Template(c.PathValue("name"))
		if !ok {
			return nil, notFound("template", c.PathValue("name"))
		}
		var q templateRequest
		if err := c.read(&q); err != nil {
			return nil, err
		}
		t.Body = q.Body
		return fields{"templateName": t.Name, "templateArn": arnPrefix + "provisioningtemplate/" + t.Name,
			"isDefaultVersion": true}, c.Authority.AddTemplate(t)
	},
	"DELETE /provisioning-templates/{name}": func(c *call) (any, error) {
		c.Authority.DeleteTemplate(c.PathValue("name"))
		return nil, nil
	},
	"GET /provisioning-templates": func(c *call) (any, error) {
		all := []fields{}
		for _, name := range c.Authority.Templates() {
			t, _ := c.Authority.Template(name)
			all = append(all, describeTemplate(t))
		}
		part, next := page(c, all, "maxResults", "nextToken")
		return listed("templates", part, "nextToken", next), nil
	},
	"POST /provisioning-templates/{name}/provisioning-claim": func(c *call) (any, error) {
		claim, err := c.Authority.Claim(c.PathValue("name"))
		return fields{"certificateId": claim.ID, "certificatePem": claim.CertificatePEM,
			"keyPair": fields{"PublicKey": claim.Public, "PrivateKey": claim.Private}, "expiration": seconds(claim.Expires)}, err
	},
}

func describeTemplate(t authority.Template) fields {
	return fields{"templateArn": arnPrefix + "provisioningtemplate/" + t.Name, "templateName": t.Name,
		"description": t.Description, "defaultVersionId": 1, "templateBody": t.Body, "enabled": !t.Disabled, "type": t.Kind}
}
