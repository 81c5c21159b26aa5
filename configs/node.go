package configs

import "strconv"

// kind is the shape of a YAML value.
type kind uint8

const (
	scalar kind = iota
	null        // nothing, ~ or null
	mapping
	list
)

// node is a value of a YAML file and where it stands. Nodes are immutable once
// parsed: merged trees share them.
type node struct {
	kind    kind
	plain   bool // a scalar without quotes, or a null that is written out
	flow    bool // a mapping or list in brackets
	partial bool // a mapping with keys that could not be read
	dynamic bool // there is a ${name} in it
	unknown bool // what text stands for could not be read here
	pos     Position
	text    string  // of a scalar: as written if plain, else without its quotes
	secret  *string // the ${file:...} or ${env:...} that text is from; nil is none
	members []member
	items   []*node
}

// source returns the ${file:...} or ${env:...} that a text is from, or "".
func (n *node) source() string {
	if n.secret == nil {
		return ""
	}
	return *n.secret
}

// member is a key of a mapping and its value.
type member struct {
	key   string
	pos   Position // of the key
	bare  bool     // a key without a colon, as in {device}
	value *node
}

// get returns the member called key, or nil.
func (n *node) get(key string) *member {
	if n == nil {
		return nil
	}
	for i := range n.members {
		if n.members[i].key == key {
			return &n.members[i]
		}
	}
	return nil
}

// newMapping returns a mapping of members.
func newMapping(pos Position, members []member) *node {
	n := &node{kind: mapping, pos: pos, members: members}
	for _, m := range members {
		n.dynamic = n.dynamic || m.value.dynamic || hasVariable(m.key)
	}
	return n
}

// with returns a copy of a mapping where key has another value; a nil value
// removes it.
func (n *node) with(key string, pos Position, value *node) *node {
	members := make([]member, 0, len(n.members)+1)
	found := false
	for _, m := range n.members {
		if m.key == key {
			found = true
			if value == nil {
				continue
			}
			m.value, m.pos = value, pos
		}
		members = append(members, m)
	}
	if !found && value != nil {
		members = append(members, member{key: key, pos: pos, value: value})
	}
	out := newMapping(n.pos, members)
	out.partial = n.partial
	return out
}

// set returns a copy of a mapping where path leads to value; what stands on the
// way and is no mapping stays.
func (n *node) set(at Position, value *node, path ...string) *node {
	if len(path) == 0 {
		return value
	}
	inner := n.at(path[0])
	if inner == nil {
		inner = newMapping(at, nil)
	}
	if inner.kind != mapping && len(path) > 1 {
		return n
	}
	if m := n.get(path[0]); m != nil {
		return n.with(path[0], m.pos, inner.set(at, value, path[1:]...))
	}
	return n.with(path[0], at, inner.set(at, value, path[1:]...))
}

// without returns a copy of a mapping without keys.
func (n *node) without(keys ...string) *node {
	for _, key := range keys {
		if n.get(key) != nil {
			n = n.with(key, n.pos, nil)
		}
	}
	return n
}

// at returns the value at path, or nil.
func (n *node) at(path ...string) *node {
	for _, key := range path {
		m := n.get(key)
		if m == nil {
			return nil
		}
		n = m.value
	}
	return n
}

// find returns the position of the scalar at path, or of the key in front of
// anything larger. Where the path leads on past what the file has, it is that of
// the innermost key that is there; near says that only the last key is missing.
func (n *node) find(path []string, onKey bool) (at Position, near bool) {
	at = n.pos
	for i, key := range path {
		last := i == len(path)-1
		switch n.kind {
		case mapping:
			m := n.get(key)
			if m == nil {
				return at, last
			}
			at, n = m.pos, m.value
			if last && onKey {
				return at, true
			}
		case list:
			index, err := strconv.Atoi(key)
			if err != nil || index < 0 || index >= len(n.items) {
				return n.pos, last
			}
			n = n.items[index]
			at = n.pos
		default:
			return n.pos, true
		}
	}
	if n.kind == scalar {
		return n.pos, true
	}
	return at, true
}
