package configs

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// parse reads a YAML document that is a mapping. A syntax error comes alone;
// what is YAML, but not ours (anchors, tags), is told together with all else,
// and the node is the rest.
func parse(file string, content []byte) (*node, []Problem) {
	src, p := newSource(file, content)
	if p != nil {
		return nil, []Problem{*p}
	}
	if root := readLean(src); root != nil {
		return root, nil
	}
	tree, p := src.parse()
	if p != nil {
		return nil, []Problem{*p}
	}
	b := builder{src: src}
	return b.document(tree), b.problems
}

// parse runs the YAML parser. Its panics on hostile input become problems too.
func (s *source) parse() (tree *ast.File, p *Problem) {
	defer func() {
		if r := recover(); r != nil {
			p = &Problem{Position{s.file, 1, 1}, "the file confuses the YAML parser", "simplify it: use quotes around unusual text"}
		}
	}()
	tree, err := parser.ParseBytes(s.text, 0, parser.AllowDuplicateMapKey())
	if err == nil {
		return tree, nil
	}
	at := Position{s.file, 1, 1}
	text := err.Error()
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		text = syntax.Message
		at = s.position(syntax.Token)
	}
	return nil, s.explain(at, text)
}

// position is where a token begins. The parser's own column is wrong where
// spaces follow a value, so that the text is looked for in its line.
func (s *source) position(t *token.Token) Position {
	at := Position{s.file, 1, 1}
	if t == nil || t.Position == nil {
		return at
	}
	at.Line = min(max(t.Position.Line, 1), len(s.lines))
	at.Column = max(t.Position.Column, 1)
	line := s.line(at.Line)
	text, _, _ := strings.Cut(strings.TrimSpace(t.Origin), "\n")
	if text = strings.TrimSpace(text); text != "" && t.Type != token.ImplicitNullType {
		offset := byteOffset(line, at.Column)
		if !strings.HasPrefix(line[offset:], text) {
			if i := strings.LastIndex(line[:min(len(line), offset+len(text))], text); i >= 0 {
				offset = i
			}
		}
		at.Column = utf8.RuneCountInString(line[:offset]) + 1
	}
	at.Column = min(at.Column, utf8.RuneCountInString(line)+1)
	return at
}

// byteOffset returns where the column, counted in characters from 1, begins.
func byteOffset(line string, column int) int {
	n := 1
	for i := range line {
		if n == column {
			return i
		}
		n++
	}
	return len(line)
}

// builder makes nodes of the parser's tree.
type builder struct {
	src      *source
	problems []Problem
}

func (b *builder) problem(at Position, text, fix string) {
	b.problems = append(b.problems, Problem{at, text, fix})
}

// document converts the one document; the node is nil if there is none.
func (b *builder) document(tree *ast.File) *node {
	var root *node
	for _, doc := range tree.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if doc.Body.Type() == ast.DirectiveType {
			b.problem(b.src.position(doc.Body.GetToken()), "YAML directives are not used here", "remove the line")
			continue
		}
		if root != nil {
			b.problem(b.src.position(doc.Start), "a second YAML document", "remove this line and what follows it: a file holds one configuration")
			return root
		}
		n := b.node(doc.Body)
		if n.kind != mapping {
			b.problem(n.pos, "the file has no keys", "begin it with gateway: NAME")
			return nil
		}
		root = n
	}
	if root == nil {
		b.problem(Position{b.src.file, 1, 1}, "the file is empty", "write a first configuration with: fieldbridge init")
	}
	return root
}

// node converts one value.
func (b *builder) node(n ast.Node) *node {
	if n == nil {
		return &node{kind: null, pos: Position{b.src.file, 1, 1}}
	}
	at := b.src.position(n.GetToken())
	switch v := n.(type) {
	case *ast.MappingNode:
		return b.mapping(v, at)
	case *ast.MappingValueNode:
		return b.mapping(&ast.MappingNode{BaseNode: v.BaseNode, Start: v.Start, Values: []*ast.MappingValueNode{v}}, at)
	case *ast.SequenceNode:
		out := &node{kind: list, pos: at, flow: v.IsFlowStyle}
		for _, item := range v.Values {
			value := b.node(item)
			out.items = append(out.items, value)
			out.dynamic = out.dynamic || value.dynamic
		}
		return out
	case *ast.NullNode:
		return &node{kind: null, pos: at, plain: v.Token.Type != token.ImplicitNullType}
	case *ast.LiteralNode:
		return &node{kind: scalar, pos: at, text: v.Value.Value, dynamic: hasVariable(v.Value.Value)}
	case *ast.AnchorNode:
		b.problem(at, "anchors (&name) are not supported", "write the values out, or share them by profiles, defaults and groups of a fleet file")
		return b.node(v.Value)
	case *ast.AliasNode:
		b.problem(at, fmt.Sprintf("%s is a YAML alias, which is not supported", excerpt(b.src.rest(at))), "if it is text, put it in quotes; else write the values out")
		return &node{kind: scalar, pos: at, text: "*", unknown: true}
	case *ast.TagNode:
		b.problem(at, fmt.Sprintf("%s is a YAML tag, which is not supported", excerpt(b.src.rest(at))), "remove it; if it is text, put it in quotes")
		return b.node(v.Value)
	case ast.ScalarNode:
		t := n.GetToken()
		quoted := t.Type == token.DoubleQuoteType || t.Type == token.SingleQuoteType
		if !quoted && t.Value != "" && strings.Contains("%@`}],", t.Value[:1]) {
			b.problem(at, fmt.Sprintf("text that begins with %s needs quotes", t.Value[:1]), fmt.Sprintf("write %q", t.Value))
		}
		return &node{kind: scalar, pos: at, text: t.Value, plain: !quoted, dynamic: hasVariable(t.Value)}
	}
	b.problem(at, "YAML that is not supported here", "write it as key: value")
	return &node{kind: null, pos: at}
}

func (b *builder) mapping(v *ast.MappingNode, at Position) *node {
	out := &node{kind: mapping, pos: at, flow: v.IsFlowStyle}
	seen := make(map[string]int, len(v.Values)) // key to line
	for i, value := range v.Values {
		m, ok := b.member(value)
		if i == 0 && !out.flow {
			out.pos = m.pos
		}
		if !ok {
			out.partial = true
			continue
		}
		if first, ok := seen[m.key]; ok {
			b.problem(m.pos, fmt.Sprintf("key %q is given twice, first in line %d", m.key, first), "remove one of them")
			continue
		}
		seen[m.key] = m.pos.Line
		out.members = append(out.members, m)
		out.dynamic = out.dynamic || m.value.dynamic || hasVariable(m.key)
	}
	return out
}

func (b *builder) member(v *ast.MappingValueNode) (member, bool) {
	at := b.src.position(v.Key.GetToken())
	m := member{pos: at}
	switch key := v.Key.(type) {
	case *ast.MappingKeyNode:
		b.problem(at, "keys after ? are not supported", "write it as key: value")
		return m, false
	case *ast.MergeKeyNode:
		b.problem(at, "the merge key << is not supported", "write the values out, or share them by profiles, defaults and groups of a fleet file")
		return m, false
	case ast.ScalarNode:
		m.key = key.GetToken().Value
	default:
		b.problem(at, "a key must be plain text", "write it as key: value")
		return m, false
	}
	m.bare = v.Start == nil || v.Start.Type != token.MappingValueType
	m.value = b.node(v.Value)
	if m.value.kind == null && !m.value.plain {
		m.value.pos = at
	}
	return m, true
}

// rest returns the text from a position to the end of its line.
func (s *source) rest(at Position) string {
	line := s.line(at.Line)
	return line[byteOffset(line, at.Column):]
}

// excerpt quotes the first word of a text.
func excerpt(text string) string {
	if i := strings.IndexAny(text, " \t,}]"); i > 0 {
		text = text[:i]
	}
	return quote(text)
}

// quote quotes what a user wrote, shortened.
func quote(text string) string {
	const most = 60
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
