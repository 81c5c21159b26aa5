package control

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// Role is a role of IAM.
type Role struct {
	Name     string
	Trust    string            // JSON
	Policies map[string]string // documents that are written into it, by name
	Attached []string          // ARNs of policies
	Session  time.Duration     // the longest that it may be assumed for; 0 is an hour
}

// AddRole makes a role, or puts another in its place. tokens are those of OIDC by which
// it may be assumed: who signs them and what stands in them is not looked at.
func (s *Server) AddRole(r Role, tokens ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles[r.Name] = &r
	for _, t := range tokens {
		s.tokens[t] = r.Name
	}
}

// Role returns a role, and whether there is one.
func (s *Server) Role(name string) (Role, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.roles[name]; r != nil {
		return *r, true
	}
	return Role{}, false
}

func roleARN(name string) string { return "arn:aws:iam::" + Account + ":role/" + name }

// allows reports whether what is written into a role allows an action. Resources and
// conditions are not looked at.
func (r *Role) allows(action string) bool {
	if strings.HasPrefix(action, "sts:") {
		return true // who it is, everybody may ask (API_GetCallerIdentity)
	}
	for _, text := range r.Policies {
		var p struct {
			Statement []struct {
				Effect string
				Action any
			}
		}
		if json.Unmarshal([]byte(text), &p) != nil {
			continue
		}
		for _, st := range p.Statement {
			list, _ := st.Action.([]any)
			if one, ok := st.Action.(string); ok {
				list = []any{one}
			}
			if st.Effect == "Allow" && slices.ContainsFunc(list, func(a any) bool { return a == action || a == "*" }) {
				return true
			}
		}
	}
	return false
}

// query answers the services that speak AWS's query protocol: IAM and STS. signed is
// who has signed the request; "" for what needs no signature.
func (s *Server) query(w http.ResponseWriter, r *http.Request, service, key string, body []byte) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		refuseQuery(w, denied("MalformedQueryString", err.Error()))
		return
	}
	action := form.Get("Action")
	do := queries[service][action]
	if do == nil {
		refuseQuery(w, denied("InvalidAction", service+" does not know "+action))
		return
	}
	if err := s.count(r, service+":"+action, nil); err != nil {
		refuseQuery(w, err)
		return
	}
	s.mu.Lock()
	answer, err := do(s, key, form)
	s.mu.Unlock()
	if err != nil {
		refuseQuery(w, err)
		return
	}
	text, err := xml.Marshal(answer)
	if err != nil {
		refuseQuery(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, "<%[1]sResponse><%[1]sResult>%[2]s</%[1]sResult><ResponseMetadata><RequestId>1</RequestId>"+
		"</ResponseMetadata></%[1]sResponse>", action, text) // the client is gone
}

func refuseQuery(w http.ResponseWriter, err error) {
	e := &registry.Error{Code: "ValidationError", Text: err.Error()}
	errors.As(err, &e)
	status := statuses[e.Code]
	if status == 0 {
		status = 400
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>", e.Code)
	_ = xml.EscapeText(w, []byte(e.Text))
	fmt.Fprint(w, "</Message></Error><RequestId>1</RequestId></ErrorResponse>")
}

// queries are the actions by service; the caller holds mu. What they answer becomes
// the content of the result.
var queries = map[string]map[string]func(s *Server, key string, q url.Values) (any, error){
	"sts": {"GetCallerIdentity": (*Server).whoIs, "AssumeRoleWithWebIdentity": (*Server).assume},
	"iam": {
		"GetRole": onRole(func(r *Role, _ url.Values) (any, error) { return r.described(), nil }),
		"CreateRole": func(s *Server, _ string, q url.Values) (any, error) {
			name := q.Get("RoleName")
			if s.roles[name] != nil {
				return nil, denied("EntityAlreadyExists", "Role with name "+name+" already exists.")
			}
			if !json.Valid([]byte(q.Get("AssumeRolePolicyDocument"))) {
				return nil, denied("MalformedPolicyDocument", "the trust is not JSON")
			}
			s.roles[name] = &Role{Name: name, Trust: q.Get("AssumeRolePolicyDocument")}
			return s.roles[name].described(), nil
		},
		"UpdateAssumeRolePolicy": onRole(func(r *Role, q url.Values) (any, error) {
			r.Trust = q.Get("PolicyDocument")
			return nil, nil
		}),
		"GetRolePolicy": onRole(func(r *Role, q url.Values) (any, error) {
			text, ok := r.Policies[q.Get("PolicyName")]
			if !ok {
				return nil, denied("NoSuchEntity", "The role policy with name "+q.Get("PolicyName")+" cannot be found.")
			}
			return []any{named("RoleName", r.Name), named("PolicyName", q.Get("PolicyName")),
				named("PolicyDocument", escape(text, false))}, nil
		}),
		"PutRolePolicy": onRole(func(r *Role, q url.Values) (any, error) {
			if !json.Valid([]byte(q.Get("PolicyDocument"))) {
				return nil, denied("MalformedPolicyDocument", "the policy is not JSON")
			}
			if r.Policies == nil {
				r.Policies = map[string]string{}
			}
			r.Policies[q.Get("PolicyName")] = q.Get("PolicyDocument")
			return nil, nil
		}),
		"AttachRolePolicy": onRole(func(r *Role, q url.Values) (any, error) {
			if arn := q.Get("PolicyArn"); !slices.Contains(r.Attached, arn) {
				r.Attached = append(r.Attached, arn)
			}
			return nil, nil
		}),
		"ListAttachedRolePolicies": onRole(func(r *Role, _ url.Values) (any, error) {
			var all attached
			for _, arn := range r.Attached {
				all.Members = append(all.Members, attachedPolicy{arn[strings.LastIndexByte(arn, '/')+1:], arn})
			}
			return []any{all, named("IsTruncated", "false")}, nil
		}),
	},
}

type attached struct {
	XMLName xml.Name         `xml:"AttachedPolicies"`
	Members []attachedPolicy `xml:"member"`
}

type attachedPolicy struct{ PolicyName, PolicyArn string }

// element is one of XML with a text.
type element struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
}

func named(name, text string) element { return element{xml.Name{Local: name}, text} }

// described is a role as the API tells it: documents are escaped by RFC 3986.
func (r *Role) described() any {
	return struct {
		XMLName                                               xml.Name `xml:"Role"`
		RoleName, RoleId, Arn, Path, AssumeRolePolicyDocument string
		CreateDate                                            string
	}{RoleName: r.Name, RoleId: "AROA" + r.Name, Arn: roleARN(r.Name), Path: "/",
		AssumeRolePolicyDocument: escape(r.Trust, false), CreateDate: "2026-01-01T00:00:00Z"}
}

// onRole finds the role that a request names.
func onRole(do func(r *Role, q url.Values) (any, error)) func(*Server, string, url.Values) (any, error) {
	return func(s *Server, _ string, q url.Values) (any, error) {
		r := s.roles[q.Get("RoleName")]
		if r == nil {
			return nil, denied("NoSuchEntity", "The role with name "+q.Get("RoleName")+" cannot be found.")
		}
		return do(r, q)
	}
}

// whoIs answers GetCallerIdentity.
func (s *Server) whoIs(key string, _ url.Values) (any, error) {
	arn := "arn:aws:iam::" + Account + ":user/" + key
	if role := s.keys[key].role; role != "" {
		arn = "arn:aws:sts::" + Account + ":assumed-role/" + role + "/" + key
	}
	return []any{named("Arn", arn), named("UserId", key), named("Account", Account)}, nil
}

// assume hands out a short-lived key for a role to who has a token of OIDC.
func (s *Server) assume(_ string, q url.Values) (any, error) {
	arn := q.Get("RoleArn")
	r := s.roles[arn[strings.LastIndexByte(arn, '/')+1:]]
	if r == nil || arn != roleARN(r.Name) || s.tokens[q.Get("WebIdentityToken")] != r.Name {
		return nil, denied("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	}
	life := time.Hour
	if text := q.Get("DurationSeconds"); text != "" {
		if _, err := fmt.Sscan(text, &life); err != nil {
			return nil, err
		}
		life *= time.Second
	}
	if life < 15*time.Minute || life > max(r.Session, time.Hour) {
		return nil, denied("ValidationError", "DurationSeconds is more than the role's MaxSessionDuration")
	}
	secret := make([]byte, 30)
	_, _ = rand.Read(secret) // does not fail
	k := Key{ID: "ASIA" + strings.ToUpper(hex.EncodeToString(secret[:8])), Secret: hex.EncodeToString(secret[8:20]),
		Token: hex.EncodeToString(secret[20:]), Expires: time.Now().Add(life), role: r.Name}
	s.keys[k.ID] = k
	type credentials struct {
		XMLName                                                xml.Name `xml:"Credentials"`
		AccessKeyId, SecretAccessKey, SessionToken, Expiration string
	}
	return []any{credentials{AccessKeyId: k.ID, SecretAccessKey: k.Secret, SessionToken: k.Token,
		Expiration: k.Expires.UTC().Format(time.RFC3339)}, named("Audience", "sts.amazonaws.com"),
		named("Provider", "stand-in")}, nil
}
