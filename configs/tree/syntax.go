package tree

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

var (
	// A value that begins with { and goes on after }, or a {name} within braces.
	bareBraces = regexp.MustCompile(`\$?\{[A-Za-z_][A-Za-z0-9_.]*\}`)
	noSpace    = regexp.MustCompile(`^\s*(- )?[A-Za-z_][A-Za-z0-9_-]*:[^\s/]`)
	unquoted   = regexp.MustCompile(`^\s*(- )?("[^"]*"|'[^']*'|[^\s"'#:]+):\s+[^"'{\[#|>\s][^#]*:\s`)
)

// Text in quotes that is a value, and what follows it; what is quoted is blanked.
var afterQuote = regexp.MustCompile(`^[^"']*:\s+("_*"|'_*')\s+[^\s,}\]:#]`)

// A key with its value begins a line.
var (
	keyed    = regexp.MustCompile(`^\s*(- )?[^\s:#{\["']+:(\s|$)`)
	hasValue = regexp.MustCompile(`^\s*(- )?[^\s:#{\["']+:\s+\S`)
)

// explain turns the parser's complaint into one for people: the usual mistakes
// have their own words, found by a look at the line. within is where what the
// parser was reading begins, and context says what it is.
func (s *source) explain(at, within Position, complaint, context string) *Problem {
	line := s.line(at.Line)
	problem := func(at Position, text, fix string) *Problem { return &Problem{at, text, fix} }
	code := withoutQuoted(withoutComment(line))
	quoted := strings.Contains(context, "quoted scalar")
	switch {
	case strings.Contains(indent(line), "\t"):
		column := strings.Index(line, "\t") + 1
		return problem(Position{at.File, at.Line, column}, "a tab in the indentation", "YAML wants spaces: replace each tab by two")
	case strings.Contains(complaint, "unknown anchor"):
		return problem(at, s.alias(at), "if it is text, put it in quotes; else write the values out")
	case strings.Contains(context, "scanning an alias"), strings.Contains(context, "scanning an anchor"):
		return problem(within, "text that begins with * or & needs quotes", "put it in double quotes")
	case s.longQuote(at) != nil:
		return s.longQuote(at)
	case quoted && strings.Contains(complaint, "end of stream"), quoted && strings.Contains(complaint, "document indicator"):
		return problem(within, "text in quotes does not end", "close it with the quote that it began with")
	case quoted:
		return problem(within, "a backslash in double quotes that escapes nothing", `write \\ for a backslash, or use single quotes`)
	case strings.Contains(context, "directive"), strings.HasPrefix(s.rest(at), "%"):
		if strings.Contains(context, "directive") {
			at = within
		}
		word := strings.TrimSuffix(firstWord(s.rest(at)), ":")
		return problem(at, "text that begins with % needs quotes", fmt.Sprintf("write %q", word))
	case bareBraces.MatchString(code):
		i := bareBraces.FindStringIndex(code)
		return problem(Position{at.File, at.Line, column(code, i[0])}, code[i[0]:i[1]]+" without quotes is a map to YAML", "put the whole text in double quotes")
	case strings.Contains(complaint, "cannot start any token"):
		return problem(at, "text that begins with @ or ` needs quotes", "put it in double quotes")
	}
	if p := s.deeperLine(at, complaint); p != nil {
		return p
	}
	return s.explainStructure(at, within, code, complaint, context)
}

// explainStructure is for brackets, colons and indentation.
func (s *source) explainStructure(at, within Position, code, complaint, context string) *Problem {
	problem := func(text, fix string) *Problem { return &Problem{at, text, fix} }
	if open, c := s.openBracket(at); c != 0 && !strings.Contains(complaint, "sequence entries") {
		at = open
		return problem(fmt.Sprintf("the %c here is not closed", c), "check that each { has its } and each [ its ], with commas between the parts")
	}
	switch {
	case strings.HasPrefix(s.rest(at), "]"), strings.HasPrefix(s.rest(at), "}"):
		return problem("the brackets do not match", "check that each { has its } and each [ its ], with commas between the parts")
	case strings.Contains(complaint, "sequence entries are not allowed"):
		return problem("a list entry where a value is expected", "begin the list on a line of its own, or write [a, b]")
	case strings.Contains(context, "block scalar"):
		return problem("text after | or >", "begin the text on the next line, indented")
	case strings.HasPrefix(s.rest(at), ","):
		return problem("a comma without a value before it", "remove it; if it is text, put it in double quotes")
	case strings.HasPrefix(code, "--- "):
		at.Column = len("--- ") + 1
		return problem("text after ---", "remove the ---: a file holds one configuration")
	case strings.Contains(complaint, "mapping values are not allowed") && afterQuote.MatchString(code):
		at.Column = utf8.RuneCountInString(afterQuote.FindString(code))
		return problem("text after the closing quote", "put all of it in one pair of quotes")
	case strings.Contains(complaint, "mapping values are not allowed") && unquoted.MatchString(code):
		at = s.valueOf(at)
		return problem("a second colon in one line", `put text with ": " in it in double quotes`)
	case strings.Contains(context, "simple key"):
		at = within
		if noSpace.MatchString(s.line(at.Line)) {
			return problem("no space after the colon", "write key: value")
		}
		return problem("a line without a colon", "write key: value")
	case strings.Contains(complaint, "not allowed in this context"), strings.Contains(complaint, "did not find expected"):
		if before := strings.TrimSpace(s.line(at.Line)[:byteOffset(s.line(at.Line), at.Column)]); strings.HasSuffix(before, `"`) || strings.HasSuffix(before, "'") {
			return problem("text after the closing quote", "put all of it in one pair of quotes")
		}
		return problem("this line does not fit the ones before it", "give the keys of one map the same indentation, and close quotes and brackets before it")
	}
	return problem("not YAML: "+complaint, "check quotes, brackets and indentation at this place")
}

// valueOf returns where the value of the key of a line begins.
func (s *source) valueOf(at Position) Position {
	line := s.line(at.Line)
	if i := strings.Index(line, ": "); i >= 0 {
		value := strings.TrimLeft(line[i+1:], " ")
		at.Column = column(line, len(line)-len(value))
	}
	return at
}

// firstWord returns a text up to its first space, comma or bracket.
func firstWord(text string) string {
	if i := strings.IndexAny(text, " \t,}]"); i > 0 {
		return text[:i]
	}
	return text
}

// deeperLine finds a key that stands deeper than the line before, which has a
// value already.
func (s *source) deeperLine(at Position, complaint string) *Problem {
	line, before := s.line(at.Line), at.Line-1
	for before > 0 && strings.TrimSpace(withoutComment(s.line(before))) == "" {
		before--
	}
	if !strings.Contains(complaint, "mapping values are not allowed") || !keyed.MatchString(line) || !hasValue.MatchString(withoutComment(s.line(before))) ||
		len(indent(line)) <= len(indent(s.line(before))) {
		return nil
	}
	return &Problem{Position{at.File, at.Line, len(indent(line)) + 1}, fmt.Sprintf("this key is indented deeper than line %d, which has a value already", before),
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
