package registry

import (
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/rules"
)

// Registry is the registry of one account.
type Registry struct {
	mu           sync.Mutex
	certificates map[string]*Certificate // guarded by mu, as all below; by id
	things       map[string]*Thing       // by name
	groups       map[string]*Group       // by name
	types        map[string]map[string]any
	policies     map[string]*policy      // by name
	overrides    map[string]rules.Policy // by certificate id
	joined       []func()                // called when a thing has joined a group
}

// New returns an empty registry.
func New() *Registry {
	return &Registry{certificates: map[string]*Certificate{}, things: map[string]*Thing{}, groups: map[string]*Group{},
		types: map[string]map[string]any{}, policies: map[string]*policy{}, overrides: map[string]rules.Policy{}}
}

// Error is why something was refused, with the name that AWS's API has for it.
type Error struct {
	Code string // ResourceNotFoundException, ...
	Text string
}

func (e *Error) Error() string { return e.Code + ": " + e.Text }

func notFound(kind, name string) error {
	return &Error{Code: "ResourceNotFoundException", Text: "there is no " + kind + " " + name}
}

// Thing is one device as the account knows it.
type Thing struct {
	Name       string
	Type       string // name of its type, or ""
	Attributes map[string]string
	Version    int64 // grows with each change
	Created    time.Time
}

// Group is a group of things; Query makes a dynamic one of it.
type Group struct {
	Name       string
	Attributes map[string]string
	Query      string // of a dynamic group, else ""
	Things     []string
}

// nameRule is made when it is first asked for: the program has the stand-in in it,
// and a gateway has little memory.
var nameRule = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9:_-]{1,128}$`) })

func checkName(name string) error {
	if !nameRule().MatchString(name) {
		return &Error{Code: "InvalidRequestException", Text: "a name has 1 to 128 of a-z A-Z 0-9 : _ -"}
	}
	return nil
}

// AddThing adds a thing, or does nothing if it is there as it is given.
func (r *Registry) AddThing(t Thing) error {
	if err := checkName(t.Name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if have := r.things[t.Name]; have != nil {
		if have.Type == t.Type && maps.Equal(have.Attributes, t.Attributes) {
			return nil
		}
		return &Error{Code: "ResourceAlreadyExistsException", Text: "thing " + t.Name + " exists with other properties"}
	}
	if t.Type != "" && r.types[t.Type] == nil {
		return notFound("thing type", t.Type)
	}
	t.Version, t.Created, t.Attributes = 1, time.Now(), maps.Clone(t.Attributes)
	r.things[t.Name] = &t
	return nil
}

// ChangeThing changes a thing.
func (r *Registry) ChangeThing(name string, change func(*Thing)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.things[name]
	if t == nil {
		return notFound("thing", name)
	}
	changed := *t
	changed.Attributes = maps.Clone(t.Attributes)
	change(&changed)
	if changed.Type != "" && r.types[changed.Type] == nil {
		return notFound("thing type", changed.Type)
	}
	changed.Name, changed.Version = name, t.Version+1
	*t = changed
	return nil
}

// DeleteThing forgets a thing that no certificate is attached to.
func (r *Registry) DeleteThing(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.things[name] == nil {
		return notFound("thing", name)
	}
	for _, c := range r.certificates {
		if slices.ContainsFunc(c.Things, func(a Attachment) bool { return a.Thing == name }) {
			return &Error{Code: "InvalidRequestException", Text: "a certificate is attached to thing " + name}
		}
	}
	delete(r.things, name)
	for _, g := range r.groups {
		g.Things = slices.DeleteFunc(g.Things, func(t string) bool { return t == name })
	}
	return nil
}

// Thing returns a thing, and whether it is known.
func (r *Registry) Thing(name string) (Thing, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.things[name]; t != nil {
		copied := *t
		copied.Attributes = maps.Clone(t.Attributes)
		return copied, true
	}
	return Thing{}, false
}

// Things returns the names of all things, sorted.
func (r *Registry) Things() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.things))
}

// Principals returns the ids of the certificates that are attached to a thing.
func (r *Registry) Principals(thing string) (ids []string) {
	for _, c := range r.Certificates() {
		if slices.ContainsFunc(c.Things, func(a Attachment) bool { return a.Thing == thing }) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}
