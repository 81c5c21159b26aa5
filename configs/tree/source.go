package tree

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"fieldbridge/setting"
)

// maxDepth of brackets and dashes bounds the parser's recursion.
const maxDepth = 100

// source is the text of a file, ready to be parsed: UTF-8 without byte order
// mark, lines ending in \n.
type source struct {
	file  string
	text  string
	lines []string
}

// newSource checks what the YAML parser takes for granted.
func newSource(file string, content []byte) (*source, *Problem) {
	content, err := setting.Text(content)
	if err != nil {
		return nil, &Problem{Position{file, 1, 1}, "the file " + err.Error(), setting.FixUTF16}
	}
	if bytes.IndexByte(content, '\r') >= 0 {
		content = bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
		content = bytes.ReplaceAll(content, []byte("\r"), []byte("\n"))
	}
	s := &source{file: file, text: string(content)}
	if p := s.badCharacter(); p != nil {
		return nil, p
	}
	s.lines = strings.Split(s.text, "\n")
	if p := s.tooDeep(); p != nil {
		return nil, p
	}
	return s, nil
}

// badCharacter finds what is not UTF-8 text.
func (s *source) badCharacter() *Problem {
	line, column := 1, 1
	for i := 0; i < len(s.text); {
		r, size := utf8.DecodeRuneInString(s.text[i:])
		at := Position{s.file, line, column}
		switch {
		case r == utf8.RuneError && size == 1:
			return &Problem{at, fmt.Sprintf("byte 0x%02x is not UTF-8", s.text[i]), "save the file as UTF-8"}
		case r < ' ' && r != '\t' && r != '\n', r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff:
			return &Problem{at, fmt.Sprintf("control character U+%04X", r), "remove it: a configuration is plain text"}
		}
		i += size
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	return nil
}

// tooDeep finds nesting that would cost the parser its stack, and minutes.
// Brackets in quotes are counted too: no reasonable text has so many.
func (s *source) tooDeep() *Problem {
	depth := 0
	for i, line := range s.lines {
		line = withoutComment(line)
		rest := strings.TrimLeft(line, " ")
		for dashes := 0; strings.HasPrefix(rest, "- ") || strings.HasPrefix(rest, "? "); dashes++ {
			rest = strings.TrimLeft(rest[1:], " ")
			if dashes > maxDepth {
				return s.deep(i, line, len(line)-len(rest))
			}
		}
		for j, c := range []byte(line) {
			switch c {
			case '[', '{':
				depth++
			case ']', '}':
				depth = max(0, depth-1)
			}
			if depth > maxDepth {
				return s.deep(i, line, j)
			}
		}
	}
	return nil
}

func (s *source) deep(index int, line string, offset int) *Problem {
	at := Position{s.file, index + 1, utf8.RuneCountInString(line[:offset]) + 1}
	return &Problem{at, fmt.Sprintf("nested more than %d levels deep", maxDepth), "close the brackets before"}
}

// withoutComment cuts a line at what looks like a comment.
func withoutComment(line string) string {
	if i := strings.IndexByte(line, '#'); i == 0 || i > 0 && strings.TrimSpace(line[:i]) == "" {
		return ""
	}
	if i := strings.Index(line, " #"); i >= 0 {
		return line[:i]
	}
	return line
}

// line returns a line by its number from 1, "" if there is none.
func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}
