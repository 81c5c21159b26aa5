package things

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of the Device Shadow service.
const (
	maximumShadow   = 8 << 10 // bytes of a document
	maximumToken    = 64      // bytes of a client token
	maximumRequests = 10      // in flight on one connection
	maximumLevels   = 8
)

// Say publishes v as JSON to who has subscribed to topic.
type Say func(topic string, v any)

// Shadows is the Device Shadow service, classic and named shadows. It is safe for
// concurrent use.
type Shadows struct {
	say   Say
	delay time.Duration // of answers
	mu    sync.Mutex
	docs  map[string]*shadow // guarded by mu; by topic prefix
}

// shadow is one document. After a delete its version goes on.
type shadow struct {
	exists            bool
	desired, reported map[string]any
	version           int64
}

// NewShadows returns a service without shadows, whose answers take delay.
func NewShadows(say Say, delay time.Duration) *Shadows {
	return &Shadows{say: say, delay: delay, docs: make(map[string]*shadow)}
}

// Request handles a message if it is a request to the service, and reports
// whether it was one. inFlight counts the requests of one connection that are not
// answered yet.
func (s *Shadows) Request(inFlight *atomic.Int32, topic string, payload []byte) bool {
	rest, ok := strings.CutPrefix(topic, "$aws/things/")
	if !ok {
		return false
	}
	thing, rest, _ := strings.Cut(rest, "/")
	rest, ok = strings.CutPrefix(rest, "shadow/")
	if !ok {
		return false
	}
	var name string
	if named, ok := strings.CutPrefix(rest, "name/"); ok {
		name, rest, _ = strings.Cut(named, "/")
	}
	prefix := prefixOf(thing, name)
	var handle func(prefix string, r *shadowRequest) *shadowError
	switch rest {
	case "get":
		handle = s.get
	case "update":
		handle = s.update
	case "delete":
		handle = s.remove
	default:
		return false
	}
	serve := func() {
		defer inFlight.Add(-1)
		s.serve(prefix, rest, payload, handle)
	}
	switch n := inFlight.Add(1); {
	case n > maximumRequests:
		inFlight.Add(-1)
		s.reject(prefix, rest, "", &shadowError{429, "Too many requests"})
	case s.delay > 0:
		time.AfterFunc(s.delay, serve)
	default:
		serve()
	}
	return true
}

// Update does what an application does: it updates a named shadow; name "" is the
// classic one.
func (s *Shadows) Update(thing, name, document string) {
	s.serve(prefixOf(thing, name), "update", []byte(document), s.update)
}

// Document returns the state of a shadow, with its delta, as JSON; name "" is the
// classic one. null means that there is none.
func (s *Shadows) Document(thing, name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var state map[string]any
	if doc := s.docs[prefixOf(thing, name)]; doc != nil && doc.exists {
		state = doc.state()
		if d := delta(doc.desired, doc.reported); len(d) > 0 {
			state["delta"] = d
		}
	}
	text, err := json.Marshal(state)
	if err != nil {
		panic(err) // it came as JSON
	}
	return text
}

func prefixOf(thing, name string) string {
	prefix := "$aws/things/" + thing + "/shadow/"
	if name != "" {
		prefix += "name/" + name + "/"
	}
	return prefix
}

type shadowRequest struct {
	State   json.RawMessage `json:"state"`
	Version *int64          `json:"version"`
	Token   string          `json:"clientToken"`
	state   map[string]any
}

type shadowError struct {
	code    int
	message string
}

func (s *Shadows) reject(prefix, action, token string, e *shadowError) {
	answer := map[string]any{"code": e.code, "message": e.message, "timestamp": time.Now().Unix()}
	if token != "" {
		answer["clientToken"] = token
	}
	s.say(prefix+action+"/rejected", answer)
}

func (s *Shadows) serve(prefix, action string, payload []byte, handle func(string, *shadowRequest) *shadowError) {
	r := new(shadowRequest)
	if action == "update" || len(payload) > 0 {
		if len(payload) > maximumShadow {
			s.reject(prefix, action, "", &shadowError{413, "The payload exceeds the maximum size allowed"})
			return
		}
		if err := json.Unmarshal(payload, r); err != nil {
			s.reject(prefix, action, "", &shadowError{400, "Invalid JSON"})
			return
		}
		if len(r.Token) > maximumToken {
			s.reject(prefix, action, "", &shadowError{400, "Invalid clientToken"})
			return
		}
	}
	if e := handle(prefix, r); e != nil {
		s.reject(prefix, action, r.Token, e)
	}
}

func (s *Shadows) get(prefix string, r *shadowRequest) *shadowError {
	s.mu.Lock()
	doc := s.docs[prefix]
	if doc == nil || !doc.exists {
		s.mu.Unlock()
		return &shadowError{404, "No shadow exists with name: '" + prefix + "'"}
	}
	state := doc.state()
	if d := delta(doc.desired, doc.reported); len(d) > 0 {
		state["delta"] = d
	}
	answer := s.document(state, doc.version, r.Token)
	s.mu.Unlock()
	s.say(prefix+"get/accepted", answer)
	return nil
}

func (s *Shadows) remove(prefix string, r *shadowRequest) *shadowError {
	s.mu.Lock()
	doc := s.docs[prefix]
	if doc == nil || !doc.exists {
		s.mu.Unlock()
		return &shadowError{404, "No shadow exists with name: '" + prefix + "'"}
	}
	version := doc.version
	*doc = shadow{version: doc.version}
	s.mu.Unlock()
	s.say(prefix+"delete/accepted", s.document(nil, version, r.Token))
	return nil
}

func (s *Shadows) update(prefix string, r *shadowRequest) *shadowError {
	decoder := json.NewDecoder(bytes.NewReader(r.State))
	decoder.UseNumber()
	if len(r.State) == 0 || decoder.Decode(&r.state) != nil || r.state == nil {
		return &shadowError{400, "Missing required node: state"}
	}
	sections := make(map[string]map[string]any)
	for _, name := range []string{"desired", "reported"} {
		switch v := r.state[name].(type) {
		case nil:
		case map[string]any:
			sections[name] = v
		default:
			return &shadowError{400, strings.ToUpper(name[:1]) + name[1:] + " node must be an object"}
		}
		if levels(r.state[name]) > maximumLevels {
			return &shadowError{400, "JSON contains too many levels of nesting; maximum is 6"}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	doc := s.docs[prefix]
	if doc == nil {
		doc = new(shadow)
		s.docs[prefix] = doc
	}
	if r.Version != nil && *r.Version != doc.version {
		return &shadowError{409, "Version conflict"}
	}
	next := shadow{exists: true, version: doc.version + 1, desired: doc.desired, reported: doc.reported}
	if v, given := r.state["desired"]; given {
		next.desired = merge(doc.desired, v)
	}
	if v, given := r.state["reported"]; given {
		next.reported = merge(doc.reported, v)
	}
	if data, _ := json.Marshal(next.state()); len(data) > maximumShadow {
		return &shadowError{413, "The payload exceeds the maximum size allowed"}
	}
	previous := *doc
	*doc = next
	accepted := s.document(r.state, doc.version, r.Token)
	accepted["metadata"] = metadata(r.state)
	s.say(prefix+"update/accepted", accepted)
	if d := delta(doc.desired, doc.reported); len(d) > 0 {
		answer := s.document(d, doc.version, r.Token)
		answer["metadata"] = metadata(d)
		s.say(prefix+"update/delta", answer)
	}
	s.say(prefix+"update/documents", map[string]any{
		"previous":  s.document(previous.state(), previous.version, ""),
		"current":   s.document(doc.state(), doc.version, ""),
		"timestamp": time.Now().Unix()})
	return nil
}

func (s *Shadows) document(state map[string]any, version int64, token string) map[string]any {
	answer := map[string]any{"version": version, "timestamp": time.Now().Unix()}
	if state != nil {
		answer["state"] = state
	}
	if token != "" {
		answer["clientToken"] = token
	}
	return answer
}

func (d *shadow) state() map[string]any {
	state := make(map[string]any)
	if len(d.desired) > 0 {
		state["desired"] = d.desired
	}
	if len(d.reported) > 0 {
		state["reported"] = d.reported
	}
	return state
}

// merge returns old with the changes of v: objects are merged, null removes, all
// else is replaced. Neither is changed.
func merge(old map[string]any, v any) map[string]any {
	changes, ok := v.(map[string]any)
	if !ok {
		return nil // null removes the section
	}
	merged := maps.Clone(old)
	if merged == nil {
		merged = make(map[string]any)
	}
	for key, value := range changes {
		switch value := value.(type) {
		case nil:
			delete(merged, key)
		case map[string]any:
			inner, _ := merged[key].(map[string]any)
			merged[key] = merge(inner, value)
		default:
			merged[key] = value
		}
	}
	return merged
}

// delta returns what of desired differs from reported, or is missing there.
func delta(desired, reported map[string]any) map[string]any {
	differs := make(map[string]any)
	for key, want := range desired {
		have, known := reported[key]
		w, wantObject := want.(map[string]any)
		h, haveObject := have.(map[string]any)
		if known && wantObject && haveObject {
			if d := delta(w, h); len(d) > 0 {
				differs[key] = d
			}
		} else if !known || !reflect.DeepEqual(want, have) {
			differs[key] = want
		}
	}
	return differs
}

// metadata mirrors a state with the time of the change at each leaf.
func metadata(v any) any {
	object, ok := v.(map[string]any)
	if !ok {
		return map[string]any{"timestamp": time.Now().Unix()}
	}
	mirror := make(map[string]any)
	for key, value := range object {
		if value != nil {
			mirror[key] = metadata(value)
		}
	}
	return mirror
}

func levels(v any) int {
	object, ok := v.(map[string]any)
	if !ok {
		return 0
	}
	deepest := 0
	for _, value := range object {
		deepest = max(deepest, levels(value))
	}
	return deepest + 1
}
