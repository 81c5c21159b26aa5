package tell

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"fieldbridge/cmd/fieldbridge/paint"
	"fieldbridge/configs/tree"
)

// mostSource is how much of a line is shown, in characters.
const mostSource = 100

// Problems tells problems with files, each with the line that it is in and a caret
// under the place. before stands before each; without it they are errors, in red.
func Problems(w io.Writer, before string, problems []tree.Problem) {
	files := make(map[string][][]byte)
	for _, p := range problems {
		at, colour := p.Position, paint.Doubtful
		if before == "" {
			colour = paint.Bad
		}
		fmt.Fprintf(w, "%s%s%s\n", colour(w, before), colour(w, at.String()), strings.TrimPrefix(p.String(), at.String()))
		lines, known := files[at.File]
		if !known {
			if content, err := os.ReadFile(at.File); err == nil { // of a profile of ours there is no file
				lines = bytes.Split(content, []byte("\n"))
			}
			files[at.File] = lines
		}
		if at.Line < 1 || at.Line > len(lines) || inPEM(lines, at.Line-1) {
			continue
		}
		text, column := excerpt(string(lines[at.Line-1]), at.Column)
		number := fmt.Sprint(at.Line)
		fmt.Fprintf(w, "  %s | %s\n", number, text)
		if column > 0 {
			fmt.Fprintf(w, "  %*s | %*s%s\n", len(number), "", column-1, "", colour(w, "^"))
		}
	}
}

// inPEM reports whether a line has something of a key or certificate: it, or the
// last line before it that begins or ends one, begins one.
func inPEM(lines [][]byte, i int) bool {
	begin, end := []byte("-----BEGIN "), []byte("-----END ")
	if bytes.Contains(lines[i], begin) || bytes.Contains(lines[i], end) {
		return true
	}
	for i--; i >= 0; i-- {
		if bytes.Contains(lines[i], end) {
			return false
		}
		if bytes.Contains(lines[i], begin) {
			return true
		}
	}
	return false
}

// inURL is a password in a URL.
var inURL = regexp.MustCompile(`://[^/:@\s]*:([^/@\s]+)@`)

// excerpt returns what of a line is shown, and where in it a column of the line is;
// 0 is nowhere.
func excerpt(line string, column int) (string, int) {
	line = strings.TrimRight(line, "\r")
	for _, at := range inURL.FindAllStringSubmatchIndex(line, -1) {
		secret := line[at[2]:at[3]]
		hidden := strings.Repeat("*", utf8.RuneCountInString(secret))
		line = line[:at[2]] + hidden + strings.Repeat("\x00", len(secret)-len(hidden)) + line[at[3]:]
	}
	line = strings.ReplaceAll(line, "\x00", "")
	all := []rune(strings.TrimPrefix(line, "\ufeff"))
	for i, r := range all {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			all[i] = ' '
		}
	}
	if column < 1 || column > len(all)+1 {
		column = 0
	}
	if len(all) <= mostSource {
		return string(all), column
	}
	from := max(0, min(column-mostSource/2, len(all)-mostSource))
	text := string(all[from:min(from+mostSource, len(all))])
	if from > 0 {
		text = "…" + text[len(string(all[from])):]
	}
	if from+mostSource < len(all) {
		text += "…"
	}
	return text, max(0, column-from)
}
