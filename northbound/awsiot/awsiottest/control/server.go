package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/authority"
	"fieldbridge/northbound/awsiot/awsiottest/jobs"
	"fieldbridge/northbound/awsiot/awsiottest/registry"
	"fieldbridge/northbound/awsiot/awsiottest/streams"
)

// Where the account is.
const (
	Region  = "eu-central-1"
	Account = "123456789012"
)

const arnPrefix = "arn:aws:iot:" + Region + ":" + Account + ":"

// maximumBody is how many bytes one request may have.
const maximumBody = 64 << 20

// Broker is the account's MQTT side.
type Broker interface {
	Shadow(thing, name string) []byte
	UpdateShadow(thing, name, document string)
	Publish(topic string, payload []byte) error
	Connected() []string
	Disconnect(client string, code byte) bool
	Addr() string
}

// Parts is what a server serves. Those that are nil must not be asked for.
type Parts struct {
	Broker    Broker
	Registry  *registry.Registry
	Authority *authority.Service
	Jobs      *jobs.Service
	Streams   *streams.Service
	// Keys are the access keys that may sign.
	Keys []Key
	// URL is under which others reach the server: http://host:port.
	URL string
	// Files is under which devices fetch by presigned URLs, https://host:port; "" is URL.
	Files string
}

// Server is the control plane of one account.
type Server struct {
	Parts
	iot  *http.ServeMux
	data *http.ServeMux // of shadows and jobs

	mu        sync.Mutex
	keys      map[string]Key              // guarded by mu, as all below; by id
	roles     map[string]*Role            // of IAM, by name
	tokens    map[string]string           // the roles that they may assume
	actions   map[string]map[string]int   // of roles, "" for owners; by the names that policies have for them
	objects   map[string]object           // by bucket/key
	buckets   map[string]bool             // by name
	calls     map[string]int              // by method and pattern
	locations map[string]map[int]location // of streams' files, by stream
	requests  map[string]jobRequest       // as jobs were asked for, by id
	indexed   map[string]any              // indexing configuration
	fail      func(call string) error
	given     int64 // bytes of objects
	cut       int   // bytes after which a connection ends; 0 is never
}

// New returns a server. It gives jobs their presigned URLs.
func New(p Parts) *Server {
	s := &Server{Parts: p, keys: map[string]Key{}, iot: http.NewServeMux(), data: http.NewServeMux(),
		roles: map[string]*Role{}, tokens: map[string]string{}, actions: map[string]map[string]int{},
		objects: map[string]object{}, buckets: map[string]bool{}, calls: map[string]int{},
		locations: map[string]map[int]location{}, requests: map[string]jobRequest{}, indexed: map[string]any{}}
	for _, k := range p.Keys {
		s.keys[k.ID] = k
	}
	for _, routes := range []map[string]handler{thingRoutes, groupRoutes, certificateRoutes, policyRoutes,
		templateRoutes, jobRoutes, streamRoutes, searchRoutes} {
		s.route(s.iot, routes)
	}
	s.route(s.data, dataRoutes)
	if p.Jobs != nil {
		p.Jobs.Presign(s.presigned)
	}
	return s
}

// Calls returns how often each call was made, by method and path.
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// Actions returns how often each call was allowed that was made by who has taken a role, "" for the
// account's owner, by the name that policies have for it: iot:CreateJob.
func (s *Server) Actions(role string) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.actions[role])
}

// Fail decides about each call before it is done: an error is what it is answered
// with ([registry.Error] by its code). nil lets all through.
func (s *Server) Fail(f func(call string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

// call is one request.
type call struct {
	*Server
	*http.Request
	body []byte
}

// handler answers a call with what becomes JSON, or says why not.
type handler func(c *call) (any, error)

// object is a JSON object.
type fields map[string]any

func (s *Server) route(mux *http.ServeMux, routes map[string]handler) {
	for pattern, h := range routes {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				err = s.count(r, pattern, body)
			}
			var answer any
			if err == nil {
				answer, err = h(&call{s, r, body})
			}
			if err != nil {
				refuse(w, err)
				return
			}
			if raw, ok := answer.(json.RawMessage); ok {
				_, _ = w.Write(raw)
				return
			}
			if answer == nil {
				answer = fields{}
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer) // the client is gone
		})
	}
}

// count notes a call, and says why it is not done: who makes it may not, or a fault was
// asked for.
func (s *Server) count(r *http.Request, pattern string, body []byte) error {
	names := actionsOf(pattern, body)
	by, _ := r.Context().Value(signedBy{}).(string)
	s.mu.Lock()
	s.calls[pattern]++
	fail, taken := s.fail, s.keys[by].role
	role := s.roles[taken]
	for _, name := range names {
		if role != nil && !role.allows(name) {
			s.mu.Unlock()
			return denied("AccessDeniedException", "User: "+by+" is not authorized to perform: "+name)
		}
	}
	if s.actions[taken] == nil {
		s.actions[taken] = map[string]int{}
	}
	for _, name := range names {
		s.actions[taken][name]++
	}
	s.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(pattern)
}

// signedBy is where a request's context has the id of the key that signed it.
type signedBy struct{}

// ServeHTTP checks a request's signature and hands it to the service that it is for.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maximumBody))
	if err != nil {
		refuse(w, denied("InvalidRequestException", err.Error()))
		return
	}
	if r.Header.Get("Authorization") == "" && strings.HasPrefix(string(body), unsignedCall) {
		s.query(w, r, "sts", "", body)
		return
	}
	s.mu.Lock()
	keys := maps.Clone(s.keys)
	s.mu.Unlock()
	signed, err := verify(r, body, keys, time.Now())
	if err != nil && signed.service == "s3" {
		refuseS3(w, err)
		return
	} else if err != nil {
		refuse(w, err)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), signedBy{}, signed.key))
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	switch signed.service {
	case "iot", "execute-api": // the second is what older tools sign
		s.iot.ServeHTTP(w, r)
	case "iotdata", "iotdevicegateway", "iot-jobs-data":
		s.data.ServeHTTP(w, r)
	case "s3":
		s.serveS3(w, r, body)
	case "sts", "iam":
		s.query(w, r, signed.service, signed.key, body)
	default:
		refuse(w, denied("InvalidSignatureException", "the signature's scope is of no service here: "+signed.service))
	}
}

// unsignedCall begins the one request that nobody signs: it brings a token instead.
const unsignedCall = "Action=AssumeRoleWithWebIdentity&"

// statuses are the HTTP statuses of AWS IoT's errors; 400 for others.
var statuses = map[string]int{
	"ResourceNotFoundException": 404, "ResourceAlreadyExistsException": 409, "DeleteConflictException": 409,
	"ResourceConflictsException": 409, "VersionsLimitExceededException": 409, "VersionConflictException": 409,
	"LimitExceededException": 410, "CertificateStateException": 406, "InvalidStateTransitionException": 409,
	"UnrecognizedClientException": 403, "InvalidSignatureException": 403, "MissingAuthenticationTokenException": 403,
	"IncompleteSignatureException": 403, "AccessDenied": 403,
	"AccessDeniedException": 403, "ExpiredTokenException": 403, "NoSuchEntity": 404, "EntityAlreadyExists": 409,
	"ThrottlingException": 429, "InternalFailureException": 500,
	"ServiceUnavailableException": 503, "NoSuchKey": 404, "NoSuchBucket": 404,
}

func refuse(w http.ResponseWriter, err error) {
	e := &registry.Error{Code: "InvalidRequestException", Text: err.Error()}
	errors.As(err, &e)
	status := statuses[e.Code]
	if status == 0 {
		status = 400
	}
	w.Header().Set("X-Amzn-Errortype", e.Code)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(fields{"message": e.Text}) // the client is gone
}

// read decodes the body.
func (c *call) read(into any) error {
	if len(c.body) == 0 {
		return nil
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		return &registry.Error{Code: "InvalidRequestException", Text: err.Error()}
	}
	return nil
}

// is reports whether a parameter of the query is true.
func (c *call) is(name string) bool { return c.URL.Query().Get(name) == "true" }

func notFound(kind, name string) error {
	return &registry.Error{Code: "ResourceNotFoundException", Text: "there is no " + kind + " " + name}
}

// page returns a part of a list and the token of the next one, "" for the last.
// Tokens are offsets.
func page[T any](c *call, list []T, sizeName, tokenName string) ([]T, string) {
	size, from := 250, 0
	_, _ = fmt.Sscan(c.URL.Query().Get(sizeName), &size) // as it is if it is not given
	_, _ = fmt.Sscan(c.URL.Query().Get(tokenName), &from)
	from = min(max(from, 0), len(list))
	to := min(from+max(size, 1), len(list))
	next := ""
	if to < len(list) {
		next = fmt.Sprint(to)
	}
	part := list[from:to]
	if part == nil {
		part = []T{}
	}
	return part, next
}

// listed is an answer with a list; the token is left out at the end.
func listed(name string, list any, tokenName, token string) fields {
	f := fields{name: list}
	if token != "" {
		f[tokenName] = token
	}
	return f
}

// seconds is a time as the API gives it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// nameOf returns what stands after the last slash of an ARN, or the text itself.
func nameOf(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }
