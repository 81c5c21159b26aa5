package life

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/identity/enrol"
	"fieldbridge/northbound/awsiot/identity/key"
	"fieldbridge/setting"
)

// Settings is the section northbound.awsiot.identity: an identity that the gateway
// gets for itself and renews. Without it, certificate and private_key name one.
type Settings struct {
	// Provision is how the gateway gets its first identity.
	Provision Provision `yaml:"provision"`
	// Key is where private keys are made: file, in the folder identity of the
	// gateway's state; tpm, by the machine's TPM 2.0; tpm:handle=0x81... or pkcs11:...,
	// a key or a token by its name. A key in a chip cannot be copied.
	Key key.Place `yaml:"key"`
	// RotateAfter is how old an identity gets before the gateway makes another, 1d to
	// 3652d. A part of it, up to 30 days and a twelfth, is the gateway's own, so that
	// not all of a fleet renew on one day. It needs provision.template.
	RotateAfter setting.Duration `yaml:"rotate_after"`
}

// Provision is how the gateway gets its first identity: by AWS IoT's fleet
// provisioning.
type Provision struct {
	// Template is the name of the provisioning template in the account.
	Template string `yaml:"template"`
	// Claim is the folder of the certificate and the key that many gateways share for
	// their first connection. Their files are removed when the gateway has an identity
	// of its own.
	Claim setting.Path `yaml:"claim"`
	// Parameters are what the template is told, beside GatewayName. {gateway},
	// {serial}, {mac}, {tpm}, {label.NAME} and {file:PATH} are replaced.
	Parameters map[string]string `yaml:"parameters"`
}

// SetDefaults sets what is used where the file says nothing.
func (s *Settings) SetDefaults() {
	*s = Settings{RotateAfter: setting.Duration(365 * 24 * time.Hour)}
}

// Managed reports whether the gateway gets its identity itself, so that no file need
// be named.
func (s *Settings) Managed() bool { return s.Provision.Template != "" || s.Key != "" }

// Topics returns the topics of the requests that get an identity by a template.
func Topics(template string) []string { return enrol.Topics(template) }

// Limits of AWS IoT (RegisterThing, CreateProvisioningTemplate).
const (
	mostTemplate  = 36
	mostParameter = 2048 // of a name
	mostValue     = 4096
)

var templateName = regexp.MustCompile(`^[0-9A-Za-z_-]+$`)

// Validate returns what is wrong with s, for a gateway with those labels.
func (s *Settings) Validate(labels map[string]string) setting.Found {
	var found setting.Found
	p := &s.Provision
	switch {
	case p.Template == "" && p.Claim != "":
		found.Add("there is no template", "name the provisioning template of the account, or remove claim", "provision",
			"claim")
	case p.Template == "" && len(p.Parameters) > 0:
		found.Add("there is no template that takes parameters", "name the provisioning template of the account", "provision",
			"parameters")
	case p.Template != "" && (len(p.Template) > mostTemplate || !templateName.MatchString(p.Template)):
		found.Add(fmt.Sprintf("AWS has no template called %q", p.Template),
			"use at most 36 letters, digits, _ and -", "provision", "template")
	}
	for _, name := range slices.Sorted(maps.Keys(p.Parameters)) {
		if name == "" || len(name) > mostParameter {
			found.Add(fmt.Sprintf("AWS takes no parameter called %q", name), "name it as the template does", "provision",
				"parameters")
		}
		if text, fix := checkParameter(p.Parameters[name], labels); text != "" {
			found.Add(text, fix, "provision", "parameters", name)
		}
	}
	if err := s.Key.Validate(); err != nil {
		found.Add(err.Error(), "write "+strings.Join(key.Places, " or "), "key")
	}
	found.Within(s.RotateAfter, 24*time.Hour, 3652*24*time.Hour, "rotate_after")
	return found
}
