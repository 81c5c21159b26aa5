package rules

import "strings"

// Statement is one statement of a policy. Resources are written without the
// ARN's beginning: client/ID, topic/NAME, topicfilter/FILTER. * and ? are
// wildcards; MQTT's own wildcards are plain characters.
type Statement struct {
	Deny      bool
	Actions   []string // "iot:Connect", "iot:Publish", "iot:Subscribe", "iot:Receive", "iot:RetainPublish", "iot:*"
	Resources []string
	// Conditions must all be met.
	Conditions []Condition
}

// Policy is what a certificate may do. Without a statement that allows it
// nothing is allowed, and one that denies wins.
type Policy []Statement

// DefaultPolicy lets a certificate connect as its thing only, and publish and
// subscribe as it likes.
var DefaultPolicy = Policy{
	{Actions: []string{"iot:Connect"}, Resources: []string{"client/${iot:Connection.Thing.ThingName}"}},
	{Actions: []string{"iot:Publish", "iot:Subscribe", "iot:Receive", "iot:RetainPublish"}, Resources: []string{"*"}},
}

// Allows decides about an action. variables are the policy variables; a
// statement whose variable is unknown does not match.
func (p Policy) Allows(action, resource string, variables map[string]string) bool {
	allowed := false
	for _, s := range p {
		if !s.matches(action, resource, variables) {
			continue
		}
		if s.Deny {
			return false
		}
		allowed = true
	}
	return allowed
}

func (s *Statement) matches(action, resource string, variables map[string]string) bool {
	for _, c := range s.Conditions {
		if !c.holds(variables) {
			return false
		}
	}
	for _, a := range s.Actions {
		if !glob(a, action) {
			continue
		}
		for _, r := range s.Resources {
			if r, ok := expand(r, variables); ok && glob(r, resource) {
				return true
			}
		}
	}
	return false
}

func expand(text string, variables map[string]string) (string, bool) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "${")
		b.WriteString(before)
		if !ok {
			return b.String(), true
		}
		name, after, _ := strings.Cut(rest, "}")
		value, known := variables[name]
		if !known {
			return "", false
		}
		b.WriteString(value)
		text = after
	}
}

// glob reports whether s matches a pattern with * and ?.
func glob(pattern, s string) bool {
	for pattern != "" {
		switch pattern[0] {
		case '*':
			for i := 0; i <= len(s); i++ {
				if glob(pattern[1:], s[i:]) {
					return true
				}
			}
			return false
		case '?':
			if s == "" {
				return false
			}
		default:
			if s == "" || s[0] != pattern[0] {
				return false
			}
		}
		pattern, s = pattern[1:], s[1:]
	}
	return s == ""
}
