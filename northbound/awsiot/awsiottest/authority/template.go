package authority

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// Kind is what a template is for.
type Kind string

// The kinds of templates.
const (
	Fleet Kind = "FLEET_PROVISIONING"
	JITP  Kind = "JITP"
)

// Template is a provisioning template.
type Template struct {
	Name        string
	Description string
	Kind        Kind   // default: Fleet
	Body        string // in AWS's language
	Disabled    bool
	// Hook decides about each device before it is registered; nil lets all pass.
	Hook Hook

	body body
}

// Hook is a pre-provisioning hook. One that fails, or takes more than five seconds,
// refuses.
type Hook func(HookRequest) (HookAnswer, error)

// HookRequest is what a hook is told (developer guide, "Pre-provisioning hooks").
type HookRequest struct {
	ClaimCertificateID string            `json:"claimCertificateId"`
	CertificateID      string            `json:"certificateId"`
	CertificatePEM     string            `json:"certificatePem"`
	TemplateARN        string            `json:"templateArn"`
	ClientID           string            `json:"clientId"`
	Parameters         map[string]string `json:"parameters"`
}

// HookAnswer is what a hook decides.
type HookAnswer struct {
	Allow              bool              `json:"allowProvisioning"`
	ParameterOverrides map[string]string `json:"parameterOverrides"`
}

// Limits of templates.
const (
	maximumName      = 36    // characters
	maximumBody      = 10240 // characters
	maximumKey       = 2048  // characters of a parameter's name
	maximumParameter = 4096  // characters of a parameter
)

// body is a template in AWS's language.
type body struct {
	Parameters map[string]struct {
		Type    string
		Default *string
	}
	Mappings            map[string]map[string]map[string]any
	Resources           map[string]resource
	DeviceConfiguration map[string]any
}

type resource struct {
	Type             string
	Properties       map[string]any
	OverrideSettings map[string]string
}

// parseBody reads a template.
func parseBody(text string) (b body, err error) {
	if len(text) > maximumBody {
		return b, fmt.Errorf("the template has %d characters, of at most %d", len(text), maximumBody)
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&b); err != nil {
		return b, err
	}
	certificates := 0
	for name, r := range b.Resources {
		switch r.Type {
		case "AWS::IoT::Certificate":
			certificates++
			if r.Properties["CertificateId"] == nil {
				return b, fmt.Errorf("%s: a device's certificate is given by CertificateId", name)
			}
		case "AWS::IoT::Thing", "AWS::IoT::Policy":
		default:
			return b, fmt.Errorf("%s: type %q is unknown", name, r.Type)
		}
	}
	if certificates != 1 {
		return b, fmt.Errorf("a template has one certificate, and not %d", certificates)
	}
	return b, nil
}

// AddTemplate adds a template or replaces the one of its name.
func (s *Service) AddTemplate(t Template) error {
	if t.Kind == "" {
		t.Kind = Fleet
	}
	if n := len(t.Name); n == 0 || n > maximumName {
		return &registry.Error{Code: "InvalidRequestException", Text: "the name of a template has 1 to 36 characters"}
	}
	var err error
	if t.body, err = parseBody(t.Body); err != nil {
		return &registry.Error{Code: "InvalidRequestException", Text: "template: " + err.Error()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.templates[t.Name] = &t
	return nil
}

// Template returns a template, and whether there is one.
func (s *Service) Template(name string) (Template, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.templates[name]; t != nil {
		return *t, true
	}
	return Template{}, false
}

// Templates returns the names of all templates, sorted.
func (s *Service) Templates() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.templates))
}

// DeleteTemplate forgets a template.
func (s *Service) DeleteTemplate(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.templates, name)
}

// missing is a parameter that a template names and nobody gives.
type missing string

func (m missing) Error() string { return "parameter " + string(m) + " is missing" }

// fill is a template's body with its parameters.
type fill struct {
	body       *body
	parameters map[string]string
}

// newFill checks that each parameter is there that has no default.
func newFill(b *body, given map[string]string) (*fill, error) {
	f := &fill{body: b, parameters: maps.Clone(given)}
	if f.parameters == nil {
		f.parameters = map[string]string{}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Parameters)) {
		if _, ok := f.parameters[name]; ok {
			continue
		}
		value := b.Parameters[name].Default
		if value == nil {
			return nil, missing(name)
		}
		f.parameters[name] = *value
	}
	return f, nil
}

// text evaluates what must become a text.
func (f *fill) text(v any) (string, error) {
	v, err := f.value(v)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", fmt.Errorf("%v is no text", v)
}

// texts evaluates a map of texts; nil is an empty one.
func (f *fill) texts(v any) (map[string]string, error) {
	if v == nil {
		return nil, nil
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%v is no map", v)
	}
	out := make(map[string]string, len(object))
	for name, v := range object {
		text, err := f.text(v)
		if err != nil {
			return nil, err
		}
		out[name] = text
	}
	return out, nil
}

// list evaluates what must become a list of texts.
func (f *fill) list(v any) (out []string, err error) {
	if v, err = f.value(v); err != nil {
		return nil, err
	}
	elements, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%v is no list", v)
	}
	for _, e := range elements {
		text, err := f.text(e)
		if err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, nil
}

// value evaluates the functions of the language (developer guide, "Provisioning
// templates"); what is none stays as it is.
func (f *fill) value(v any) (any, error) {
	object, ok := v.(map[string]any)
	if !ok || len(object) != 1 {
		return v, nil
	}
	for name, argument := range object {
		list, _ := argument.([]any)
		switch name {
		case "Ref":
			return f.ref(argument)
		case "Fn::Join", "Fn::Split":
			if len(list) != 2 {
				return nil, errors.New(name + " takes a separator and what it separates")
			}
			return f.join(name, list)
		case "Fn::Select":
			if len(list) != 2 {
				return nil, errors.New("Fn::Select takes a number and a list")
			}
			return f.choose(list)
		case "Fn::Sub":
			return f.substitute(argument)
		case "Fn::FindInMap":
			return f.find(list)
		}
	}
	return v, nil
}

func (f *fill) ref(argument any) (any, error) {
	name, _ := argument.(string)
	value, ok := f.parameters[name]
	if !ok {
		return nil, missing(name)
	}
	return value, nil
}

func (f *fill) join(name string, list []any) (any, error) {
	separator, err := f.text(list[0])
	if err != nil {
		return nil, err
	}
	if name == "Fn::Join" {
		parts, err := f.list(list[1])
		return strings.Join(parts, separator), err
	}
	whole, err := f.text(list[1])
	if err != nil {
		return nil, err
	}
	var parts []any
	for part := range strings.SplitSeq(whole, separator) {
		parts = append(parts, part)
	}
	return parts, nil
}

func (f *fill) choose(list []any) (any, error) {
	number, err := f.text(list[0])
	if err != nil {
		return nil, err
	}
	elements, err := f.list(list[1])
	if err != nil {
		return nil, err
	}
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= len(elements) {
		return nil, fmt.Errorf("Fn::Select: there is no element %s of %d", number, len(elements))
	}
	return elements[i], nil
}

// substitute replaces ${NAME} by parameters, or by what the function names itself.
func (f *fill) substitute(argument any) (any, error) {
	text, ok := argument.(string)
	own := map[string]string{}
	if list, is := argument.([]any); is && len(list) == 2 {
		text, ok = list[0].(string)
		var err error
		if own, err = f.texts(list[1]); err != nil {
			return nil, err
		}
	}
	if !ok {
		return nil, errors.New("Fn::Sub takes a text, or a text and a map")
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, after, _ := strings.Cut(rest, "}")
		value, known := own[name]
		if !known {
			if value, known = f.parameters[name]; !known {
				return nil, missing(name)
			}
		}
		b.WriteString(value)
		text = after
	}
}

func (f *fill) find(list []any) (any, error) {
	var keys [3]string
	if len(list) != len(keys) {
		return nil, errors.New("Fn::FindInMap takes a map and two keys")
	}
	for i := range keys {
		var err error
		if keys[i], err = f.text(list[i]); err != nil {
			return nil, err
		}
	}
	v, ok := f.body.Mappings[keys[0]][keys[1]][keys[2]]
	if !ok {
		return nil, fmt.Errorf("Fn::FindInMap: there is no %s", strings.Join(keys[:], "/"))
	}
	return v, nil
}
