package tree

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"fieldbridge/setting"
)

// Parse reads a YAML document that is a mapping. A syntax error comes alone;
// what is YAML, but not ours (anchors, tags), is told together with all else,
// and the node is the rest.
func Parse(file string, content []byte) (*Node, []Problem) {
	src, p := newSource(file, content)
	if p != nil {
		return nil, []Problem{*p}
	}
	documents, p := src.parse()
	if p != nil {
		return nil, []Problem{*p}
	}
	b := builder{src: src, texts: make(map[string]string)}
	return b.document(documents), b.problems
}

// parse runs the YAML parser up to a second document, which is refused. Should it
// panic on a hostile text, that is a problem, too: a gateway always starts.
func (s *source) parse() (documents []*yaml.Node, p *Problem) {
	defer func() {
		if r := recover(); r != nil {
			p = &Problem{Position{s.file, 1, 1}, "the file confuses the YAML parser", "use quotes around unusual text"}
		}
	}()
	if p := s.directive(); p != nil {
		return nil, p
	}
	loader, err := yaml.NewLoader(strings.NewReader(s.text), yaml.WithUniqueKeys(false))
	for err == nil && len(documents) < 2 {
		document := new(yaml.Node)
		if err = loader.Load(document); err == nil && len(document.Content) > 0 {
			documents = append(documents, document)
		}
	}
	if err == nil || err == io.EOF {
		return documents, nil
	}
	var syntax *yaml.LoadError
	if !errors.As(err, &syntax) {
		return nil, &Problem{Position{s.file, 1, 1}, "not YAML: " + err.Error(), "check quotes, brackets and indentation"}
	}
	why := s.explain(fault{s.position(syntax.Mark), s.position(syntax.ContextMark), syntax.Message, syntax.ContextMsg})
	return nil, &why
}

// directive finds a directive before the document: a line that begins with %.
func (s *source) directive() *Problem {
	for i, line := range s.lines {
		switch {
		case strings.HasPrefix(line, "%YAML "), strings.HasPrefix(line, "%TAG "):
			return &Problem{Position{s.file, i + 1, 1}, "YAML directives are not used here", "remove the line"}
		case strings.TrimSpace(withoutComment(line)) != "":
			return nil
		}
	}
	return nil
}

// position is where the parser sees something, kept within the file: it may be
// past the end of it.
func (s *source) position(m yaml.Mark) Position {
	at := Position{s.file, max(m.Line, 1), max(m.Column, 1)}
	if at.Line > len(s.lines) {
		at.Line, at.Column = len(s.lines), utf8.RuneCountInString(s.line(len(s.lines)))+1
	}
	at.Column = min(at.Column, utf8.RuneCountInString(s.line(at.Line))+1)
	return at
}

func (s *source) place(n *yaml.Node) Position {
	return s.position(yaml.Mark{Line: n.Line, Column: n.Column})
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
	texts    map[string]string // each text once: keys come again and again
}

func (b *builder) problem(at Position, text, fix string) {
	b.problems = append(b.problems, Problem{at, text, fix})
}

// keep returns a text that is shared with all that are the same. It is a copy:
// what lives on would else hold the pages that the parser filled.
func (b *builder) keep(text string) string {
	kept, ok := b.texts[text]
	if !ok {
		kept = strings.Clone(text)
		b.texts[kept] = kept
	}
	return kept
}

// document converts the one document; the node is nil if there is none.
func (b *builder) document(documents []*yaml.Node) *Node {
	if len(documents) == 0 || isEmpty(documents[0].Content[0]) && documents[0].Content[0].Value == "" {
		b.problem(Position{b.src.file, 1, 1}, "the file is empty", "write a first configuration with: fieldbridge init")
		return nil
	}
	root := b.node(documents[0].Content[0])
	if root.Kind != Mapping {
		b.problem(root.Pos, "the file has no keys", "begin it with gateway: NAME")
		return nil
	}
	if len(documents) > 1 {
		b.problem(b.src.place(documents[1]), "a second YAML document",
			"remove this line and what follows it: a file holds one configuration")
	}
	return root
}

// quoted are the styles of text that is not plain.
const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// isEmpty reports whether a value is a null, written out or not. The parser's own
// word for it is not asked: it knows nulls of other versions of YAML, too.
func isEmpty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Style&quoted == 0 &&
		slices.Contains([]string{"", "~", "null", "Null", "NULL"}, n.Value)
}

// node converts one value.
func (b *builder) node(n *yaml.Node) *Node {
	at := b.src.place(n)
	if n.Anchor != "" {
		b.problem(at, "anchors (&name) are not supported",
			"write the values out, or share them by profiles, defaults and groups of a fleet file")
	}
	if n.Style&yaml.TaggedStyle != 0 || strings.HasPrefix(b.src.rest(at), "!") {
		b.problem(at, fmt.Sprintf("%s is a YAML tag, which is not supported", excerpt(b.src.rest(at))),
			"remove it; if it is text, put it in quotes")
	}
	switch n.Kind {
	case yaml.MappingNode:
		return b.mapping(n, at)
	case yaml.SequenceNode:
		out := &Node{Kind: List, Pos: at, Flow: n.Style&yaml.FlowStyle != 0, Items: make([]*Node, len(n.Content))}
		for i, item := range n.Content {
			n.Content[i], out.Items[i] = nil, b.node(item) // a large file is in memory twice for as short as may be
			out.Dynamic = out.Dynamic || out.Items[i].Dynamic
		}
		return out
	case yaml.AliasNode:
		b.problems = append(b.problems, b.src.alias(at))
		return &Node{Kind: Scalar, Pos: at, Text: "*", Unknown: true}
	}
	if isEmpty(n) {
		return &Node{Kind: Null, Pos: at, Plain: n.Value != ""}
	}
	out := &Node{Kind: Scalar, Pos: at, Text: b.keep(n.Value), Plain: n.Style&quoted == 0, Dynamic: HasVariable(n.Value)}
	if setting.IsPEM(n.Value) {
		out.Secret, out.Here = new(fmt.Sprintf("(PEM text in %s:%d)", at.File, at.Line)), true
	}
	return out
}

func (b *builder) mapping(n *yaml.Node, at Position) *Node {
	out := &Node{Kind: Mapping, Pos: at, Flow: n.Style&yaml.FlowStyle != 0, Members: make([]Member, 0, len(n.Content)/2)}
	seen := make(map[string]int, len(n.Content)/2) // key to line
	for i := 0; i+1 < len(n.Content); i += 2 {
		m, ok := b.member(n.Content[i], n.Content[i+1], out.Flow)
		n.Content[i], n.Content[i+1] = nil, nil
		if i == 0 && !out.Flow {
			out.Pos = m.Pos
		}
		if !ok {
			out.Partial = true
			continue
		}
		if first, ok := seen[m.Key]; ok {
			b.problem(m.Pos, fmt.Sprintf("key %q is given twice, first in line %d", m.Key, first), "remove one of them")
			continue
		}
		seen[m.Key] = m.Pos.Line
		out.Members = append(out.Members, m)
		out.Dynamic = out.Dynamic || m.Value.Dynamic || HasVariable(m.Key)
	}
	return out
}

func (b *builder) member(key, value *yaml.Node, flow bool) (Member, bool) {
	at := b.src.place(key)
	m := Member{Pos: at}
	before := strings.TrimRight(b.src.line(at.Line)[:byteOffset(b.src.line(at.Line), at.Column)], " ")
	switch {
	case strings.HasSuffix(before, "?") && (len(before) == 1 || strings.IndexByte(" {[,-", before[len(before)-2]) >= 0):
		m.Pos.Column = utf8.RuneCountInString(before)
		b.problem(m.Pos, "keys after ? are not supported", "write it as key: value")
		return m, false
	case key.Kind == yaml.ScalarNode && key.Style == 0 && key.Value == "<<":
		b.problem(at, "the merge key << is not supported",
			"write the values out, or share them by profiles, defaults and groups of a fleet file")
		return m, false
	case key.Kind != yaml.ScalarNode:
		what := "map"
		if key.Kind == yaml.SequenceNode {
			what = "list"
		}
		b.problem(at, "a "+what+" cannot be a key", "put text with { or [ in it in double quotes")
		return m, false
	}
	if setting.IsPEM(key.Value) {
		b.problem(at, "PEM text is not a key", "put it after private_key:, certificate: or ca: and its colon")
		return m, false
	}
	m.Key = b.keep(key.Value)
	m.Value = b.node(value)
	if m.Value.Kind == Null && !m.Value.Plain {
		m.Bare = flow && !b.src.colonAfter(at, key)
		if m.Bare && key.Style == 0 && noSpace().MatchString(m.Key) {
			b.problem(at, "no space after the colon", "write key: value")
			return m, false
		}
		m.Value.Pos = at
	}
	return m, true
}

// colonAfter reports whether a colon follows a key of one line.
func (s *source) colonAfter(at Position, key *yaml.Node) bool {
	rest := s.rest(at)
	if key.Style == 0 {
		rest = strings.TrimPrefix(rest, key.Value)
	} else if i := strings.IndexByte(rest[1:], rest[0]); i >= 0 {
		rest = rest[i+2:]
	}
	return strings.HasPrefix(strings.TrimLeft(rest, " "), ":")
}

// alias says what is wrong with a text that begins with *.
func (s *source) alias(at Position) Problem {
	return NewProblem(at, fmt.Sprintf("%s is a YAML alias, which is not supported", excerpt(s.rest(at))),
		"if it is text, put it in quotes; else write the values out")
}

// rest returns the text from a position to the end of its line.
func (s *source) rest(at Position) string {
	line := s.line(at.Line)
	return line[byteOffset(line, at.Column):]
}

// excerpt quotes the first word of a text.
func excerpt(text string) string {
	return Quote(firstWord(text))
}

// Quote quotes what a user wrote, shortened.
func Quote(text string) string {
	const most = 60
	if setting.IsPEM(text) {
		return "PEM text"
	}
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
