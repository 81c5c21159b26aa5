package tree

import (
	"fmt"
	"regexp"
	"strings"
)

// Text that is the same to YAML with and without quotes.
var safeText = regexp.MustCompile(`^[A-Za-z0-9_./°-]([A-Za-z0-9_ ./°+-]|:[A-Za-z0-9_./\[-])*$`)

// Text writes a scalar so that it reads back as it was: plain if it was and
// may be, else in double quotes.
func Text(text string, plain bool) string {
	if strings.EqualFold(text, "null") || text == "~" {
		return inQuotes(text)
	}
	if plain && safeText.MatchString(text) && !strings.HasSuffix(text, " ") && !strings.HasPrefix(text, "- ") &&
		text != "-" && text != "---" {
		return text
	}
	return inQuotes(text)
}

// inQuotes writes text in double quotes, with the escapes of YAML.
func inQuotes(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
