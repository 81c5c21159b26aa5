package registry

import (
	"maps"
	"slices"
)

// AddType adds a thing type with its properties as the API gives them.
func (r *Registry) AddType(name string, properties map[string]any) error {
	if err := checkName(name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.types[name] == nil {
		r.types[name] = map[string]any{}
		maps.Copy(r.types[name], properties)
	}
	return nil
}

// Type returns the properties of a thing type, and whether there is one.
func (r *Registry) Type(name string) (map[string]any, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	properties, ok := r.types[name]
	return maps.Clone(properties), ok
}

// Types returns the names of the thing types, sorted.
func (r *Registry) Types() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.types))
}

// AddGroup adds a group, or does nothing if it is there.
func (r *Registry) AddGroup(g Group) error {
	if err := checkName(g.Name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if have := r.groups[g.Name]; have == nil {
		g.Attributes, g.Things = maps.Clone(g.Attributes), slices.Clone(g.Things)
		r.groups[g.Name] = &g
	} else if have.Query != g.Query || !maps.Equal(have.Attributes, g.Attributes) {
		return &Error{Code: "ResourceAlreadyExistsException", Text: "group " + g.Name + " exists with other properties"}
	}
	return nil
}

// Group returns a group, and whether there is one.
func (r *Registry) Group(name string) (Group, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g := r.groups[name]; g != nil {
		copied := *g
		copied.Attributes, copied.Things = maps.Clone(g.Attributes), slices.Clone(g.Things)
		return copied, true
	}
	return Group{}, false
}

// Groups returns the names of all groups, or of those that a thing is in, sorted.
func (r *Registry) Groups(thing string) (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, g := range r.groups {
		if thing == "" || slices.Contains(g.Things, thing) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// DeleteGroup forgets a group; the things in it stay.
func (r *Registry) DeleteGroup(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.groups, name)
}

// OnJoin has f called each time that a thing has joined a group.
func (r *Registry) OnJoin(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.joined = append(r.joined, f)
}

// Join puts a thing into a group. Nobody is put into a dynamic one by hand.
func (r *Registry) Join(group, thing string) error {
	told, err := r.join(group, thing)
	for _, f := range told {
		f()
	}
	return err
}

func (r *Registry) join(group, thing string) (told []func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[group]
	switch {
	case g == nil:
		return nil, notFound("group", group)
	case r.things[thing] == nil:
		return nil, notFound("thing", thing)
	case g.Query != "":
		return nil, &Error{Code: "InvalidRequestException", Text: "group " + group + " is dynamic"}
	case slices.Contains(g.Things, thing):
		return nil, nil
	}
	g.Things = append(g.Things, thing)
	return r.joined, nil
}

// Leave takes a thing out of a group.
func (r *Registry) Leave(group, thing string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[group]
	if g == nil {
		return notFound("group", group)
	}
	g.Things = slices.DeleteFunc(g.Things, func(t string) bool { return t == thing })
	return nil
}
