package control

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fieldbridge/northbound/awsiot/awsiottest/registry"
)

// query is a condition on a thing in fleet indexing's language: terms field:value
// with * and ?, comparisons, AND, OR, NOT and brackets.
type query func(field func(name string) []string) bool

type parser struct{ tokens []string }

// parseQuery reads a query.
func parseQuery(text string) (query, error) {
	p := &parser{tokens: tokens(text)}
	if len(p.tokens) == 0 || text == "*" {
		return func(func(string) []string) bool { return true }, nil
	}
	q, err := p.or(0)
	if err == nil && len(p.tokens) > 0 {
		err = fmt.Errorf("%q is too much", p.tokens[0])
	}
	if err != nil {
		return nil, &registry.Error{Code: "InvalidQueryException", Text: "query: " + err.Error()}
	}
	return q, nil
}

// tokens cuts a query at spaces and brackets; what is quoted stays together.
func tokens(text string) (out []string) {
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			out = append(out, b.String())
			b.Reset()
		}
	}
	quoted := false
	for _, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case !quoted && c == ' ':
			flush()
		case !quoted && (c == '(' || c == ')'):
			flush()
			out = append(out, string(c))
		default:
			b.WriteRune(c)
		}
	}
	flush()
	return out
}

const deepest = 32

func (p *parser) next(word string) bool {
	if len(p.tokens) > 0 && p.tokens[0] == word {
		p.tokens = p.tokens[1:]
		return true
	}
	return false
}

func (p *parser) or(depth int) (query, error) {
	left, err := p.and(depth)
	for err == nil && p.next("OR") {
		a, right := left, query(nil)
		right, err = p.and(depth)
		left = func(f func(string) []string) bool { return a(f) || right(f) }
	}
	return left, err
}

func (p *parser) and(depth int) (query, error) {
	left, err := p.term(depth)
	for err == nil && len(p.tokens) > 0 && p.tokens[0] != ")" && p.tokens[0] != "OR" {
		p.next("AND") // it may be left out
		a, right := left, query(nil)
		right, err = p.term(depth)
		left = func(f func(string) []string) bool { return a(f) && right(f) }
	}
	return left, err
}

func (p *parser) term(depth int) (query, error) {
	if depth > deepest || len(p.tokens) == 0 {
		return nil, fmt.Errorf("it ends too early, or is nested too deep")
	}
	if p.next("NOT") {
		q, err := p.term(depth + 1)
		return func(f func(string) []string) bool { return !q(f) }, err
	}
	if p.next("(") {
		q, err := p.or(depth + 1)
		if err == nil && !p.next(")") {
			err = fmt.Errorf("a bracket is open")
		}
		return q, err
	}
	token := p.tokens[0]
	p.tokens = p.tokens[1:]
	if i := strings.IndexAny(token, "<>"); i > 0 {
		return compare(token, i)
	}
	name, value, ok := strings.Cut(token, ":")
	if !ok || name == "" {
		return nil, fmt.Errorf("%q is no field:value", token)
	}
	return func(f func(string) []string) bool {
		return slices.ContainsFunc(f(name), func(v string) bool { return like(value, v) })
	}, nil
}

// compare reads field>number and its kin.
func compare(token string, i int) (query, error) {
	name, operator, text := strings.TrimSuffix(token[:i], ":"), token[i:i+1], token[i+1:]
	if rest, ok := strings.CutPrefix(text, "="); ok {
		operator, text = operator+"=", rest
	}
	want, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is no number", text)
	}
	return func(f func(string) []string) bool {
		return slices.ContainsFunc(f(name), func(v string) bool {
			n, err := strconv.ParseFloat(v, 64)
			return err == nil && (n < want && operator[0] == '<' || n > want && operator[0] == '>' ||
				n == want && len(operator) == 2)
		})
	}, nil
}

// like reports whether a text matches a pattern with * and ?.
func like(pattern, text string) bool {
	for pattern != "" {
		switch c := pattern[0]; {
		case c == '*':
			for i := range len(text) + 1 {
				if like(pattern[1:], text[i:]) {
					return true
				}
			}
			return false
		case text == "", c != '?' && c != text[0]:
			return false
		}
		pattern, text = pattern[1:], text[1:]
	}
	return text == ""
}

// field returns the values of a thing's field.
func (c *call) field(t registry.Thing, connected []string) func(name string) []string {
	return func(name string) []string {
		first, rest, _ := strings.Cut(name, ".")
		switch first {
		case "thingName":
			return []string{t.Name}
		case "thingTypeName":
			return []string{t.Type}
		case "thingGroupNames":
			return c.Registry.Groups(t.Name)
		case "attributes":
			if v, ok := t.Attributes[rest]; ok {
				return []string{v}
			}
		case "connectivity":
			if rest == "connected" {
				return []string{strconv.FormatBool(slices.Contains(connected, t.Name))}
			}
		case "shadow":
			shadow := ""
			if named, ok := strings.CutPrefix(rest, "name."); ok {
				shadow, rest, _ = strings.Cut(named, ".")
			}
			return c.shadowField(t.Name, shadow, rest)
		}
		return nil
	}
}

func (c *call) shadowField(thing, shadow, path string) []string {
	var v any
	if c.Broker == nil || json.Unmarshal(c.Broker.Shadow(thing, shadow), &v) != nil {
		return nil
	}
	for part := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		if v = object[part]; v == nil {
			return nil
		}
	}
	if list, ok := v.([]any); ok {
		var out []string
		for _, e := range list {
			out = append(out, fmt.Sprint(e))
		}
		return out
	}
	return []string{fmt.Sprint(v)}
}

func (c *call) connected() []string {
	if c.Broker == nil {
		return nil
	}
	return c.Broker.Connected()
}

// find returns the names of the things that a query finds.
func find(c *call, text string) (names []string, err error) {
	q, err := parseQuery(text)
	if err != nil {
		return nil, err
	}
	connected := c.connected()
	for _, name := range c.Registry.Things() {
		t, _ := c.Registry.Thing(name)
		if q(c.field(t, connected)) {
			names = append(names, name)
		}
	}
	return names, nil
}

var searchRoutes = map[string]handler{
	"GET /endpoint": func(c *call) (any, error) {
		if c.Broker == nil {
			return nil, notFound("endpoint", c.URL.Query().Get("endpointType"))
		}
		return fields{"endpointAddress": c.Broker.Addr()}, nil
	},
	"POST /indices/search": search,
	"POST /indexing/config": func(c *call) (any, error) {
		var q map[string]any
		if err := c.read(&q); err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for name, v := range q {
			c.indexed[name] = v
		}
		return nil, nil
	},
	"GET /indexing/config": func(c *call) (any, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		f := fields{}
		for name, v := range c.indexed {
			f[name] = v
		}
		return f, nil
	},
	"GET /indices/{name}": func(c *call) (any, error) {
		return fields{"indexName": c.PathValue("name"), "indexStatus": "ACTIVE", "schema": "MULTI_INDEXING_MODE"}, nil
	},
}

func search(c *call) (any, error) {
	var q struct {
		Query string `json:"queryString"`
		Most  int    `json:"maxResults"`
		Token string `json:"nextToken"`
	}
	if err := c.read(&q); err != nil {
		return nil, err
	}
	names, err := find(c, q.Query)
	if err != nil {
		return nil, err
	}
	if q.Most == 0 {
		q.Most = 100
	}
	from, _ := strconv.Atoi(q.Token)
	from = min(max(from, 0), len(names))
	to := min(from+q.Most, len(names))
	connected := c.connected()
	found := []fields{}
	for _, name := range names[from:to] {
		t, _ := c.Registry.Thing(name)
		f := fields{"thingName": name, "thingId": name, "attributes": t.Attributes,
			"thingGroupNames": c.Registry.Groups(name), "shadow": c.shadows(name),
			"connectivity": fields{"connected": slices.Contains(connected, name)}}
		if t.Type != "" {
			f["thingTypeName"] = t.Type
		}
		found = append(found, f)
	}
	answer := fields{"things": found}
	if to < len(names) {
		answer["nextToken"] = strconv.Itoa(to)
	}
	return answer, nil
}

// shadows returns the shadows of a thing that are indexed, as a text in JSON.
func (c *call) shadows(thing string) string {
	var config struct {
		Things struct {
			Filter struct {
				Names []string `json:"namedShadowNames"`
			} `json:"filter"`
		} `json:"thingIndexingConfiguration"`
	}
	c.mu.Lock()
	text, err := json.Marshal(c.indexed)
	c.mu.Unlock()
	if err != nil || json.Unmarshal(text, &config) != nil || c.Broker == nil {
		return "{}"
	}
	named, all := fields{}, fields{}
	for _, name := range config.Things.Filter.Names {
		if doc := c.Broker.Shadow(thing, name); string(doc) != "null" {
			named[name] = json.RawMessage(doc)
		}
	}
	var classic fields
	if json.Unmarshal(c.Broker.Shadow(thing, ""), &classic) == nil {
		for name, v := range classic {
			all[name] = v
		}
	}
	if len(named) > 0 {
		all["name"] = named
	}
	text, err = json.Marshal(all)
	if err != nil {
		return "{}"
	}
	return string(text)
}
