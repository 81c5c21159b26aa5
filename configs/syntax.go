package configs

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

var (
	// A value that begins with { and goes on after }, or a {name} within braces.
	bareBraces  = regexp.MustCompile(`\$?\{[A-Za-z_][A-Za-z0-9_.]*\}`)
	barePercent = regexp.MustCompile(`(^|[\s,{\[:-])%`)
	noSpace     = regexp.MustCompile(`^\s*(- )?[A-Za-z_][A-Za-z0-9_-]*:[^\s/]`)
	unquoted    = regexp.MustCompile(`^\s*(- )?("[^"]*"|'[^']*'|[^\s"'#:]+):\s+[^"'{\[#|>\s][^#]*:\s`)
)

// A key with its value begins a line.
var keyed = regexp.MustCompile(`^\s*(- )?[^\s:#{\["']+:(\s|$)`)

// explain turns the parser's complaint into one for people: the usual mistakes
// have their own words, found by a look at the line.
func (s *source) explain(at Position, complaint string) *Problem {
	line := s.line(at.Line)
	problem := func(at Position, text, fix string) *Problem { return &Problem{at, text, fix} }
	code := withoutQuoted(withoutComment(line))
	switch {
	case strings.Contains(indent(line), "\t"):
		column := strings.Index(line, "\t") + 1
		return problem(Position{at.File, at.Line, column}, "a tab in the indentation", "YAML wants spaces: replace each tab by two")
	case strings.HasPrefix(s.rest(at), "*"), strings.HasPrefix(s.rest(at), "&"):
		return problem(at, "text that begins with * or & needs quotes", "put it in double quotes")
	case s.longQuote(at) != nil:
		return s.longQuote(at)
	case strings.Contains(complaint, "could not find end character of"):
		return problem(at, "text in quotes does not end", "close it with the quote that it began with")
	case strings.Contains(complaint, "unknown escape"):
		return problem(at, "a backslash in double quotes that escapes nothing", `write \\ for a backslash, or use single quotes`)
	case strings.Contains(complaint, "directive"):
		return problem(s.within(at, code, barePercent, "%"), "text that begins with % needs quotes", `write "%"`)
	case bareBraces.MatchString(code) && !strings.Contains(complaint, "directive"):
		i := bareBraces.FindStringIndex(code)
		return problem(Position{at.File, at.Line, column(code, i[0])}, code[i[0]:i[1]]+" without quotes is a map to YAML", "put the whole text in double quotes")
	case strings.Contains(complaint, "reserved character"):
		return problem(at, "text that begins with @ or ` needs quotes", "put it in double quotes")
	}
	if p := s.deeperLine(at, complaint); p != nil {
		return p
	}
	return s.explainStructure(at, code, complaint)
}

// explainStructure is for brackets, colons and indentation.
func (s *source) explainStructure(at Position, code, complaint string) *Problem {
	problem := func(text, fix string) *Problem { return &Problem{at, text, fix} }
	switch {
	case strings.Contains(complaint, "must be specified"), strings.Contains(complaint, "end token"), strings.Contains(complaint, "could not find flow map"),
		strings.Contains(complaint, "corresponding to"):
		if open, c := s.openBracket(at); c != 0 {
			at = open
			return problem(fmt.Sprintf("the %c here is not closed", c), "check that each { has its } and each [ its ], with commas between the parts")
		}
		return problem("the brackets do not match", "check that each { has its } and each [ its ], with commas between the parts")
	case strings.Contains(complaint, "sequence entries are not allowed"):
		return problem("a list entry where a value is expected", "begin the list on a line of its own, or write [a, b]")
	case strings.Contains(complaint, "document separator"):
		return problem("text after ---", "remove the ---: a file holds one configuration")
	case strings.Contains(complaint, "mapping value is not allowed") && unquoted.MatchString(code):
		return problem("a second colon in one line", `put text with ": " in it in double quotes`)
	case strings.Contains(complaint, "not allowed in this context"), strings.Contains(complaint, "unexpected key name"), strings.Contains(complaint, "non-map value"):
		if before := strings.TrimSpace(s.line(at.Line)[:byteOffset(s.line(at.Line), at.Column)]); strings.HasSuffix(before, `"`) || strings.HasSuffix(before, "'") {
			return problem("text after the closing quote", "put all of it in one pair of quotes")
		}
		if noSpace.MatchString(code) {
			return problem("no space after the colon", "write key: value")
		}
		return problem("this line does not fit the ones before it", "give the keys of one map the same indentation, and close quotes and brackets before it")
	case strings.Contains(complaint, "invalid key"):
		return problem("a map cannot be a key", "put text with { or [ in it in double quotes")
	}
	return problem("not YAML: "+complaint, "check quotes, brackets and indentation at this place")
}

// deeperLine finds a key that stands deeper than the line before, which has a
// value already.
func (s *source) deeperLine(at Position, complaint string) *Problem {
	next := s.line(at.Line + 1)
	if !strings.Contains(complaint, "mapping value is not allowed") || !keyed.MatchString(next) || len(indent(next)) <= len(indent(s.line(at.Line))) {
		return nil
	}
	return &Problem{Position{at.File, at.Line + 1, len(indent(next)) + 1}, fmt.Sprintf("this key is indented deeper than line %d, which has a value already", at.Line),
		"give the keys of one map the same indentation"}
}

// walkQuotes tells visit of every character before at that is not in quotes or a
// comment, and long of every quoted text that does not end in its line.
func (s *source) walkQuotes(at Position, visit func(c byte, line, offset int), long func(line, offset, end int)) {
	var quote byte
	quoteLine, quoteOffset := 0, 0
	for i := range min(at.Line, len(s.lines)) {
		line := s.lines[i]
		for j := 0; j < len(line); j++ {
			c := line[j]
			begins := j == 0 || strings.IndexByte(" \t{[,:", line[j-1]) >= 0
			switch {
			case quote == '"' && c == '\\':
				j++
			case quote != 0 && c == quote:
				quote = 0
				if quoteLine != i {
					long(quoteLine+1, quoteOffset, i+1)
				}
			case quote != 0:
			case (c == '"' || c == '\'') && begins:
				quote, quoteLine, quoteOffset = c, i, j
			case c == '#' && begins:
				j = len(line)
			default:
				visit(c, i+1, j)
			}
		}
	}
}

// longQuote finds the first text in quotes that runs over the end of its line:
// before a syntax error its closing quote was forgotten.
func (s *source) longQuote(at Position) *Problem {
	var p *Problem
	s.walkQuotes(at, func(byte, int, int) {}, func(line, offset, end int) {
		if p == nil {
			p = &Problem{Position{s.file, line, column(s.line(line), offset)}, fmt.Sprintf("the quote that opens here is closed only in line %d", end), "close it in its own line"}
		}
	})
	return p
}

// openBracket returns the innermost bracket that is open at a place, 0 if none.
func (s *source) openBracket(at Position) (Position, byte) {
	type bracket struct {
		at Position
		c  byte
	}
	var open []bracket
	s.walkQuotes(at, func(c byte, line, offset int) {
		switch {
		case c == '{' || c == '[':
			open = append(open, bracket{Position{s.file, line, column(s.line(line), offset)}, c})
		case (c == '}' || c == ']') && len(open) > 0:
			open = open[:len(open)-1]
		}
	}, func(int, int, int) {})
	if len(open) == 0 {
		return at, 0
	}
	return open[len(open)-1].at, open[len(open)-1].c
}

// within returns the position of the first match of what in the line, else at.
func (s *source) within(at Position, code string, what *regexp.Regexp, text string) Position {
	if i := what.FindStringIndex(code); i != nil {
		j := i[0] + strings.Index(code[i[0]:i[1]], text)
		at.Column = column(code, j)
	}
	return at
}

func column(line string, offset int) int { return utf8.RuneCountInString(line[:offset]) + 1 }

func indent(line string) string { return line[:len(line)-len(strings.TrimLeft(line, " \t"))] }

// withoutQuoted blanks what stands in quotes, keeping every column.
func withoutQuoted(line string) string {
	out := []rune(line)
	var open rune
	for i, c := range out {
		switch {
		case open != 0 && c == open:
			open = 0
		case open != 0:
			out[i] = '_'
		case c == '"', c == '\'' && (i == 0 || strings.ContainsRune(" \t{[,:", out[i-1])):
			open = c
		}
	}
	return string(out)
}
