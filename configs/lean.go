package configs

import (
	"strings"
	"unicode/utf8"
)

// lean reads the plain part of YAML that most configurations are made of: maps
// and lists by indentation or in the brackets of one line, and scalars of one
// line. It takes a tenth of the general parser's memory, whose peak would else
// be what a gateway needs at most. What it does not know for certain, mistakes
// above all, it leaves to the general parser: a fuzz test compares the two.
type lean struct {
	src   *source
	lines []leanLine // without blank ones and comments
	at    int        // the next line
	texts map[string]string
}

// leanLine is a line, or what follows a dash in one.
type leanLine struct {
	number int    // from 1
	indent int    // in bytes, which are spaces
	text   string // from there, without spaces at its end
}

// notLean is panicked with by what lean does not read.
type notLean struct{}

// readLean returns the tree of a source, or nil if it is not plain.
func readLean(src *source) (root *node) {
	l := lean{src: src, texts: make(map[string]string)}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(notLean); !ok {
				panic(r)
			}
			root = nil
		}
	}()
	for i, line := range src.lines {
		text := strings.TrimLeft(line, " ")
		if text == "" || text[0] == '#' {
			continue
		}
		if strings.Contains(line, "\t") || strings.HasPrefix(line, "---") || strings.HasPrefix(line, "...") || line[0] == '%' {
			return nil
		}
		l.lines = append(l.lines, leanLine{i + 1, len(line) - len(text), strings.TrimRight(text, " ")})
	}
	if len(l.lines) == 0 || l.lines[0].indent != 0 {
		return nil
	}
	root = l.block(0)
	if l.at < len(l.lines) || root.kind != mapping {
		return nil
	}
	return root
}

func (l *lean) give() { panic(notLean{}) }

// keep returns text without holding on to the file, each text once.
func (l *lean) keep(text string) string {
	if kept, ok := l.texts[text]; ok {
		return kept
	}
	kept := strings.Clone(text)
	l.texts[kept] = kept
	return kept
}

// position returns the place of a byte of a line.
func (l *lean) position(number, offset int) Position {
	return Position{l.src.file, number, utf8.RuneCountInString(l.src.lines[number-1][:offset]) + 1}
}

func isItem(text string) bool { return strings.HasPrefix(text, "- ") || text == "-" }

// block reads the map or list whose lines begin at indent.
func (l *lean) block(indent int) *node {
	line := l.lines[l.at]
	if isItem(line.text) {
		return l.list(indent)
	}
	n := &node{kind: mapping, pos: l.position(line.number, indent)}
	seen := make(map[string]bool)
	for l.at < len(l.lines) && l.lines[l.at].indent == indent && !isItem(l.lines[l.at].text) {
		m := l.member(indent)
		if seen[m.key] {
			l.give()
		}
		seen[m.key] = true
		n.add(m)
	}
	if l.at < len(l.lines) && l.lines[l.at].indent >= indent {
		l.give()
	}
	return n
}

func (n *node) add(m member) {
	n.members = append(n.members, m)
	n.dynamic = n.dynamic || m.value.dynamic || hasVariable(m.key)
}

// member reads a key and its value, of this line or of deeper ones.
func (l *lean) member(indent int) member {
	line := l.lines[l.at]
	key, length := leanKey(line.text)
	if length < 0 || key == "<<" {
		l.give()
	}
	m := member{key: l.keep(key), pos: l.position(line.number, indent)}
	rest := strings.TrimLeft(line.text[length:], " ")
	l.at++
	if rest != "" && rest[0] != '#' {
		m.value = l.inline(line.number, line.indent+len(line.text)-len(rest))
		if l.at < len(l.lines) && l.lines[l.at].indent > indent {
			l.give() // it may go on there
		}
		return m
	}
	switch {
	case l.at < len(l.lines) && l.lines[l.at].indent > indent:
		m.value = l.block(l.lines[l.at].indent)
	case l.at < len(l.lines) && l.lines[l.at].indent == indent && isItem(l.lines[l.at].text):
		m.value = l.list(indent)
	default:
		m.value = &node{kind: null, pos: m.pos}
	}
	return m
}

// list reads lines that begin with a dash.
func (l *lean) list(indent int) *node {
	n := &node{kind: list, pos: l.position(l.lines[l.at].number, indent)}
	for l.at < len(l.lines) && l.lines[l.at].indent == indent && isItem(l.lines[l.at].text) {
		line := &l.lines[l.at]
		rest := strings.TrimLeft(line.text[1:], " ")
		if rest == "" || rest[0] == '#' || isItem(rest) {
			l.give()
		}
		offset := line.indent + len(line.text) - len(rest)
		var item *node
		if _, length := leanKey(rest); length >= 0 {
			line.indent, line.text = offset, rest
			item = l.block(offset)
		} else {
			l.at++
			item = l.inline(line.number, offset)
		}
		if l.at < len(l.lines) && l.lines[l.at].indent > indent {
			l.give()
		}
		n.items = append(n.items, item)
		n.dynamic = n.dynamic || item.dynamic
	}
	return n
}

// leanKey returns the key at the begin of text and the length of it and its
// colon, or -1 if there is none of the plain kind.
func leanKey(text string) (key string, length int) {
	end := 0
	if c := text[0]; c == '"' || c == '\'' {
		i := strings.IndexByte(text[1:], c)
		if i < 0 || strings.Contains(text[1:1+i], `\`) {
			return "", -1
		}
		key, end = text[1:1+i], i+2
	} else {
		for end < len(text) && leanKeyByte(text[end]) {
			end++
		}
		if text[0] == '-' {
			return "", -1
		}
		key = text[:end]
	}
	if end == 0 || end >= len(text) || text[end] != ':' || end+1 < len(text) && text[end+1] != ' ' {
		return "", -1
	}
	return key, end + 1
}

func leanKeyByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_-./", c) >= 0
}

// inline reads the value at a byte of a line, up to its end or a comment.
func (l *lean) inline(number, offset int) *node {
	line := l.src.lines[number-1]
	if c := line[offset]; c == '"' || c == '\'' || c == '{' || c == '[' {
		n, end := l.flow(number, offset)
		rest := strings.TrimLeft(line[end:], " ")
		if rest != "" && (rest[0] != '#' || line[end] != ' ') {
			l.give()
		}
		return n
	}
	text := line[offset:]
	if i := strings.Index(text, " #"); i >= 0 {
		text = text[:i]
	}
	return l.plain(number, offset, strings.TrimRight(text, " "))
}

// plain returns a scalar without quotes.
func (l *lean) plain(number, offset int, text string) *node {
	if text == "" || strings.Contains(text, ": ") || strings.HasSuffix(text, ":") {
		l.give()
	}
	switch c := text[0]; {
	case c == '-' && (len(text) == 1 || text[1] < '0' || text[1] > '9'), strings.IndexByte("?:,[]{}#&*!|>'\"%@`<=", c) >= 0:
		l.give()
	}
	n := &node{kind: scalar, pos: l.position(number, offset), text: l.keep(text), plain: true, dynamic: hasVariable(text)}
	switch text {
	case "null", "Null", "NULL", "~":
		*n = node{kind: null, pos: n.pos, plain: true}
	}
	return n
}

// flow reads what stands in quotes or brackets, and returns where it ends.
func (l *lean) flow(number, offset int) (n *node, end int) {
	line := l.src.lines[number-1]
	switch c := line[offset]; c {
	case '"', '\'':
		i := strings.IndexByte(line[offset+1:], c)
		if i < 0 {
			l.give()
		}
		text, end := line[offset+1:offset+1+i], offset+i+2
		if strings.Contains(text, `\`) || end < len(line) && line[end] == c {
			l.give()
		}
		return &node{kind: scalar, pos: l.position(number, offset), text: l.keep(text), dynamic: hasVariable(text)}, end
	case '{':
		return l.flowMap(number, offset)
	case '[':
		return l.flowList(number, offset)
	}
	end = offset
	for end < len(line) && strings.IndexByte(",]}", line[end]) < 0 {
		if strings.IndexByte("{[\"'#", line[end]) >= 0 {
			l.give()
		}
		end++
	}
	return l.plain(number, offset, strings.TrimRight(line[offset:end], " ")), end
}

// skip returns where the next character that is no space is; there must be one.
func (l *lean) skip(line string, offset int) int {
	for offset < len(line) && line[offset] == ' ' {
		offset++
	}
	if offset == len(line) {
		l.give()
	}
	return offset
}

func (l *lean) flowMap(number, offset int) (*node, int) {
	line := l.src.lines[number-1]
	n := &node{kind: mapping, pos: l.position(number, offset), flow: true}
	at := l.skip(line, offset+1)
	if line[at] == '}' {
		return n, at + 1
	}
	for {
		key, length := leanKey(line[at:])
		if length < 0 || key == "<<" || n.get(key) != nil {
			l.give()
		}
		m := member{key: l.keep(key), pos: l.position(number, at)}
		m.value, at = l.flow(number, l.skip(line, at+length))
		n.add(m)
		at = l.skip(line, at)
		switch line[at] {
		case '}':
			return n, at + 1
		case ',':
			at = l.skip(line, at+1)
		default:
			l.give()
		}
	}
}

func (l *lean) flowList(number, offset int) (*node, int) {
	line := l.src.lines[number-1]
	n := &node{kind: list, pos: l.position(number, offset), flow: true}
	at := l.skip(line, offset+1)
	if line[at] == ']' {
		return n, at + 1
	}
	for {
		if _, length := leanKey(line[at:]); length >= 0 {
			l.give() // [a: b] is a list of maps
		}
		var item *node
		item, at = l.flow(number, at)
		n.items = append(n.items, item)
		n.dynamic = n.dynamic || item.dynamic
		at = l.skip(line, at)
		switch line[at] {
		case ']':
			return n, at + 1
		case ',':
			at = l.skip(line, at+1)
		default:
			l.give()
		}
	}
}
