package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maximumDocument is how many characters a policy may have, white space aside.
const maximumDocument = 2048

// Condition is one condition of a statement: the variable has one of the values.
type Condition struct {
	Like     bool // * and ? are wildcards
	Not      bool
	Variable string
	Values   []string
}

// oneOrMore is a string or a list of them.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*o = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(o))
}

// statement is a statement as AWS writes it.
type statement struct {
	Sid       string
	Effect    string
	Action    oneOrMore
	Resource  oneOrMore
	Condition map[string]map[string]oneOrMore
}

// Parse reads a policy in AWS's language (JSON, version 2012-10-17).
func Parse(document []byte) (Policy, error) {
	if n := len(strings.Join(strings.Fields(string(document)), "")); n > maximumDocument {
		return nil, fmt.Errorf("the policy has %d characters, of at most %d", n, maximumDocument)
	}
	var d struct {
		Version   string
		Statement json.RawMessage
	}
	if err := json.Unmarshal(document, &d); err != nil {
		return nil, err
	}
	if d.Version != "2012-10-17" {
		return nil, fmt.Errorf("version %q instead of 2012-10-17", d.Version)
	}
	var all []statement
	if json.Unmarshal(d.Statement, &all) != nil {
		all = make([]statement, 1)
		if err := json.Unmarshal(d.Statement, &all[0]); err != nil {
			return nil, err
		}
	}
	var p Policy
	for _, s := range all {
		read, err := s.read()
		if err != nil {
			return nil, err
		}
		p = append(p, read)
	}
	return p, nil
}

func (s *statement) read() (Statement, error) {
	out := Statement{Deny: s.Effect == "Deny", Actions: s.Action}
	if s.Effect != "Allow" && s.Effect != "Deny" {
		return out, fmt.Errorf("effect %q is neither Allow nor Deny", s.Effect)
	}
	if len(s.Action) == 0 || len(s.Resource) == 0 {
		return out, errors.New("a statement needs Action and Resource")
	}
	for _, r := range s.Resource {
		if r != "*" {
			parts := strings.SplitN(r, ":", 6)
			if len(parts) != 6 || parts[0] != "arn" || parts[2] != "iot" {
				return out, fmt.Errorf("resource %q is no ARN of AWS IoT", r)
			}
			r = parts[5]
		}
		out.Resources = append(out.Resources, r)
	}
	for operator, variables := range s.Condition {
		plain := strings.TrimPrefix(strings.TrimPrefix(operator, "ForAllValues:"), "ForAnyValue:")
		if !slices.Contains([]string{"Bool", "StringEquals", "StringNotEquals", "StringLike", "StringNotLike"}, plain) {
			return out, fmt.Errorf("condition %q is not known here", operator)
		}
		for name, values := range variables {
			out.Conditions = append(out.Conditions, Condition{Like: strings.HasSuffix(plain, "Like"),
				Not: strings.Contains(plain, "Not"), Variable: name, Values: values})
		}
	}
	return out, nil
}

// holds reports whether the condition is met. A variable that is unknown meets
// only what it must not be.
func (c *Condition) holds(variables map[string]string) bool {
	value, known := variables[c.Variable]
	if !known {
		return c.Not
	}
	met := slices.ContainsFunc(c.Values, func(want string) bool {
		want, ok := expand(want, variables)
		return ok && (want == value || c.Like && glob(want, value))
	})
	return met != c.Not
}
