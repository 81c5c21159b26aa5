package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
)

// kind is the shape of a YAML value.
type kind uint8

const (
	Scalar kind = iota
	Null        // nothing, ~ or null
	Mapping
	List
)

// Node is a value of a YAML file and where it stands. Nodes are immutable once
// parsed: merged trees share them.
type Node struct {
	Kind    kind
	Plain   bool // a scalar without quotes, or a null that is written out
	Flow    bool // a mapping or list in brackets
	Partial bool // a mapping with keys that could not be read
	Dynamic bool // there is a ${name} in it
	Unknown bool // what text stands for could not be read here
	Pos     Position
	Text    string  // of a scalar: as written if plain, else without its quotes
	Secret  *string // what to show in place of text that nobody is to see, or nil
	Here    bool    // Secret stands in the configuration itself: it is PEM text
	Members []Member
	Items   []*Node
}

// Source returns what to show in place of text that nobody is to see: the
// ${file:...} or ${env:...} that it is from, or where PEM text stands. It returns ""
// of all other text.
func (n *Node) Source() string {
	if n.Secret == nil {
		return ""
	}
	return *n.Secret
}

// Member is a key of a mapping and its value.
type Member struct {
	Key   string
	Pos   Position // of the key
	Bare  bool     // a key without a colon, as in {device}
	Value *Node
}

// Get returns the member called key, or nil.
func (n *Node) Get(key string) *Member {
	if n == nil {
		return nil
	}
	for i := range n.Members {
		if n.Members[i].Key == key {
			return &n.Members[i]
		}
	}
	return nil
}

// NewMapping returns a mapping of members.
func NewMapping(pos Position, members []Member) *Node {
	n := &Node{Kind: Mapping, Pos: pos, Members: members}
	for _, m := range members {
		n.Dynamic = n.Dynamic || m.Value.Dynamic || HasVariable(m.Key)
	}
	return n
}

// With returns a copy of a mapping where key has another value; a nil value
// removes it.
func (n *Node) With(key string, pos Position, value *Node) *Node {
	members := make([]Member, 0, len(n.Members)+1)
	found := false
	for _, m := range n.Members {
		if m.Key == key {
			found = true
			if value == nil {
				continue
			}
			m.Value, m.Pos = value, pos
		}
		members = append(members, m)
	}
	if !found && value != nil {
		members = append(members, Member{Key: key, Pos: pos, Value: value})
	}
	out := NewMapping(n.Pos, members)
	out.Partial = n.Partial
	return out
}

// Set returns a copy of a mapping where path leads to value; what stands on the
// way and is not a mapping stays.
func (n *Node) Set(at Position, value *Node, path ...string) *Node {
	if len(path) == 0 {
		return value
	}
	inner := n.At(path[0])
	if inner == nil {
		inner = NewMapping(at, nil)
	}
	if inner.Kind != Mapping && len(path) > 1 {
		return n
	}
	if m := n.Get(path[0]); m != nil {
		return n.With(path[0], m.Pos, inner.Set(at, value, path[1:]...))
	}
	return n.With(path[0], at, inner.Set(at, value, path[1:]...))
}

// Without returns a copy of a mapping without keys.
func (n *Node) Without(keys ...string) *Node {
	for _, key := range keys {
		if n.Get(key) != nil {
			n = n.With(key, n.Pos, nil)
		}
	}
	return n
}

// At returns the value at path, or nil.
func (n *Node) At(path ...string) *Node {
	for _, key := range path {
		m := n.Get(key)
		if m == nil {
			return nil
		}
		n = m.Value
	}
	return n
}

// Find returns the position of the scalar at path, or of the key in front of
// anything larger. Where the path leads on past what the file has, it is that of
// the innermost key that is there; near says that only the last key is missing.
func (n *Node) Find(path []string, onKey bool) (at Position, near bool) {
	at = n.Pos
	for i, key := range path {
		last := i == len(path)-1
		switch n.Kind {
		case Mapping:
			m := n.Get(key)
			if m == nil {
				return at, last
			}
			at, n = m.Pos, m.Value
			if last && onKey {
				return at, true
			}
		case List:
			index, err := strconv.Atoi(key)
			if err != nil || index < 0 || index >= len(n.Items) {
				return n.Pos, last
			}
			n = n.Items[index]
			at = n.Pos
		default:
			return n.Pos, true
		}
	}
	if n.Kind == Scalar {
		return n.Pos, true
	}
	return at, true
}

// HasUnknown reports whether a value in n is not known on this machine.
func (n *Node) HasUnknown() bool {
	if n == nil {
		return false
	}
	return n.Unknown || slices.ContainsFunc(n.Items, (*Node).HasUnknown) ||
		slices.ContainsFunc(n.Members, func(m Member) bool { return m.Value.HasUnknown() })
}

// HasSecret reports whether something in n is not to be shown.
func (n *Node) HasSecret() bool {
	if n == nil {
		return false
	}
	return n.Secret != nil || slices.ContainsFunc(n.Items, (*Node).HasSecret) ||
		slices.ContainsFunc(n.Members, func(m Member) bool { return m.Value.HasSecret() })
}

// Replace returns n with another value at path, which exists.
func (n *Node) Replace(path []string, value *Node) *Node {
	if len(path) == 0 {
		return value
	}
	m := n.Get(path[0])
	return n.With(path[0], m.Pos, m.Value.Replace(path[1:], value))
}

// Show says what a value is, for messages.
func (n *Node) Show() string {
	switch n.Kind {
	case Mapping:
		return "a map"
	case List:
		return "a list"
	}
	if n.Secret != nil {
		return "what " + n.Source() + " holds"
	}
	return Quote(n.Text)
}

// Hash names a tree by what it says: 16 hexadecimal digits.
func (n *Node) Hash() string {
	h := sha256.New()
	var write func(n *Node)
	write = func(n *Node) {
		switch n.Kind {
		case Mapping:
			for _, m := range n.Members {
				fmt.Fprintf(h, "k%d:%s", len(m.Key), m.Key)
				write(m.Value)
			}
		case List:
			for _, item := range n.Items {
				h.Write([]byte("-"))
				write(item)
			}
		case Scalar:
			fmt.Fprintf(h, "%t%d:%s", n.Plain, len(n.Text), n.Text)
		}
		h.Write([]byte{byte('A' + n.Kind)})
	}
	write(n)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Removes reports whether n is a null that is written out.
func (n *Node) Removes() bool { return n.Kind == Null && n.Plain }
