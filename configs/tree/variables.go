package tree

import "strings"

// HasVariable reports whether text has a ${name}, or a $${ that stands for ${.
func HasVariable(text string) bool { return strings.Contains(text, "${") }

// Substitute replaces each ${name} by what value returns, and $${ by ${ unless
// keepEscapes. It ends at the first that value does not know and returns its
// name; "" if all went well.
func Substitute(text string, value func(name string) (string, bool), keepEscapes bool) (out, unknown string) {
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), ""
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1])
			if keepEscapes {
				b.WriteByte('$')
			}
			b.WriteString("${")
			text = text[i+2:]
			continue
		}
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			return b.String(), text[i:]
		}
		name := text[i+2 : i+end]
		v, ok := value(name)
		if !ok {
			return b.String(), name
		}
		b.WriteString(text[:i])
		b.WriteString(v)
		text = text[i+end+1:]
	}
}

// UnknownVariables counts the variables of a text; escapes do not count.
func UnknownVariables(text string) int {
	n := 0
	Substitute(text, func(string) (string, bool) { n++; return "", true }, true)
	return n
}

// SoleVariable returns the name in a text that is ${name} and no more.
func SoleVariable(text string) (string, bool) {
	if !strings.HasPrefix(text, "${") || strings.IndexByte(text, '}') != len(text)-1 {
		return "", false
	}
	return text[2 : len(text)-1], true
}
