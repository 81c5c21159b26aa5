package tree

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

// pattern returns a pattern that is made when it is first asked for: a file that
// parses needs none of them, and a gateway has little memory.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

var (
	// A value that begins with { and goes on after }, or a {name} within braces.
	bareBraces = pattern(`\$?\{[A-Za-z_][A-Za-z0-9_.]*\}`)
	noSpace    = pattern(`^\s*(- )?[A-Za-z_][A-Za-z0-9_-]*:[^\s/]`)
	unquoted   = pattern(`^\s*(- )?("[^"]*"|'[^']*'|[^\s"'#:]+):\s+[^"'{\[#|>\s][^#]*:\s`)
)

// Text in quotes that is a value, and what follows it; what is quoted is blanked.
var afterQuote = pattern(`^[^"']*:\s+("_*"|'_*')\s+[^\s,}\]:#]`)

// A key with its value begins a line.
var (
	keyed    = pattern(`^\s*(- )?[^\s:#{\["']+:(\s|$)`)
	hasValue = pattern(`^\s*(- )?[^\s:#{\["']+:\s+\S`)
)

// fault is what the parser complains of.
type fault struct {
	at      Position // where it stopped
	within  Position // where what it was reading begins
	text    string   // the complaint
	context string   // what it was reading
}

func (f fault) says(text string) bool { return strings.Contains(f.text, text) }

func (f fault) reading(what string) bool { return strings.Contains(f.context, what) }

// explain turns the parser's complaint into one for people: the usual mistakes
// have their own words, found by a look at the line.
func (s *source) explain(f fault) Problem {
	line := s.line(f.at.Line)
	if i := strings.Index(indent(line), "\t"); i >= 0 {
		return NewProblem(Position{s.file, f.at.Line, i + 1}, "a tab in the indentation",
			"YAML wants spaces: replace each tab by two")
	}
	if f.says("unknown anchor") {
		return s.alias(f.at)
	}
	if f.reading("scanning an alias") || f.reading("scanning an anchor") {
		return NewProblem(f.within, "text that begins with * or & needs quotes", "put it in double quotes")
	}
	if p, ok := s.longQuote(f.at); ok {
		return p
	}
	if f.reading("quoted scalar") {
		if f.says("end of stream") || f.says("document indicator") {
			return NewProblem(f.within, "text in quotes does not end", "close it with the quote that it began with")
		}
		return NewProblem(f.within, "a backslash in double quotes that escapes nothing",
			`write \\ for a backslash, or use single quotes`)
	}
	code := withoutQuoted(withoutComment(line))
	if p, ok := s.needsQuotes(f, code); ok {
		return p
	}
	if p, ok := s.deeperLine(f); ok {
		return p
	}
	return s.explainStructure(f, code)
}

// needsQuotes finds text that begins with a sign of YAML's.
func (s *source) needsQuotes(f fault, code string) (Problem, bool) {
	braces := bareBraces().FindStringIndex(code)
	switch {
	case f.reading("directive"):
		return s.percent(f.within), true
	case strings.HasPrefix(s.rest(f.at), "%"):
		return s.percent(f.at), true
	case braces != nil:
		return NewProblem(Position{s.file, f.at.Line, column(code, braces[0])},
			code[braces[0]:braces[1]]+" without quotes is a map to YAML", "put the whole text in double quotes"), true
	case f.says("cannot start any token"):
		return NewProblem(f.at, "text that begins with @ or ` needs quotes", "put it in double quotes"), true
	}
	return Problem{}, false
}

func (s *source) percent(at Position) Problem {
	word := strings.TrimSuffix(firstWord(s.rest(at)), ":")
	return NewProblem(at, "text that begins with % needs quotes", fmt.Sprintf("write %q", word))
}

// explainStructure is for brackets, colons and indentation.
func (s *source) explainStructure(f fault, code string) Problem {
	const match = "check that each { has its } and each [ its ], with commas between the parts"
	at, rest := f.at, s.rest(f.at)
	if open, c := s.openBracket(at); c != 0 && !f.says("sequence entries") {
		return NewProblem(open, fmt.Sprintf("the %c here is not closed", c), match)
	}
	switch {
	case strings.HasPrefix(rest, "]"), strings.HasPrefix(rest, "}"):
		return NewProblem(at, "the brackets do not match", match)
	case f.says("sequence entries are not allowed"):
		return NewProblem(at, "a list entry where a value is expected",
			"begin the list on a line of its own, or write [a, b]")
	case f.reading("block scalar"):
		return NewProblem(at, "text after | or >", "begin the text on the next line, indented")
	case strings.HasPrefix(rest, ","):
		return NewProblem(at, "a comma without a value before it", "remove it; if it is text, put it in double quotes")
	case strings.HasPrefix(code, "--- "):
		at.Column = len("--- ") + 1
		return NewProblem(at, "text after ---", "remove the ---: a file holds one configuration")
	case f.reading("simple key"):
		text := "a line without a colon"
		if noSpace().MatchString(s.line(f.within.Line)) {
			text = "no space after the colon"
		}
		return NewProblem(f.within, text, "write key: value")
	case f.says("mapping values are not allowed") && afterQuote().MatchString(code):
		at.Column = utf8.RuneCountInString(afterQuote().FindString(code))
		return textAfterQuote(at)
	case f.says("mapping values are not allowed") && unquoted().MatchString(code):
		return NewProblem(s.valueOf(at), "a second colon in one line", `put text with ": " in it in double quotes`)
	case f.says("not allowed in this context"), f.says("did not find expected"):
		before := strings.TrimSpace(strings.TrimSuffix(s.line(at.Line), rest))
		if strings.HasSuffix(before, `"`) || strings.HasSuffix(before, "'") {
			return textAfterQuote(at)
		}
		return NewProblem(at, "this line does not fit the ones before it",
			"give the keys of one map the same indentation, and close quotes and brackets before it")
	}
	return NewProblem(at, "not YAML: "+f.text, "check quotes, brackets and indentation at this place")
}

func textAfterQuote(at Position) Problem {
	return NewProblem(at, "text after the closing quote", "put all of it in one pair of quotes")
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
func (s *source) deeperLine(f fault) (Problem, bool) {
	line, before := s.line(f.at.Line), f.at.Line-1
	for before > 0 && strings.TrimSpace(withoutComment(s.line(before))) == "" {
		before--
	}
	above := withoutComment(s.line(before))
	deeper := len(indent(line)) > len(indent(above))
	if !f.says("mapping values are not allowed") || !keyed().MatchString(line) ||
		!hasValue().MatchString(above) || !deeper {
		return Problem{}, false
	}
	return NewProblem(Position{s.file, f.at.Line, len(indent(line)) + 1},
		fmt.Sprintf("this key is indented deeper than line %d, which has a value already", before),
		"give the keys of one map the same indentation"), true
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
func (s *source) longQuote(at Position) (p Problem, found bool) {
	s.walkQuotes(at, func(byte, int, int) {}, func(line, offset, end int) {
		if !found {
			found = true
			p = NewProblem(Position{s.file, line, column(s.line(line), offset)},
				fmt.Sprintf("the quote that opens here is closed only in line %d", end), "close it in its own line")
		}
	})
	return p, found
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
