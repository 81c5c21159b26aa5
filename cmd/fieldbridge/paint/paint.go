// Package paint colours words where a person reads them on a terminal, so that what
// is wrong is seen at night. Without a terminal, with NO_COLOR set (no-color.org) or
// TERM=dumb, words are as they are.
package paint

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// colour is a parameter of SGR (ECMA-48, 8.3.117).
type colour string

const (
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
)

// canvas is a writer to a terminal that has colours.
type canvas struct{ io.Writer }

// On returns w as a writer that is painted on, if what comes of it is seen on out, and
// out is a terminal with colours or was returned for one; else w.
func On(w, out io.Writer) io.Writer {
	if _, ok := out.(canvas); ok {
		return canvas{w}
	}
	f, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(f.Fd())) {
		return w
	}
	return canvas{w}
}

// Bad returns text as it stands on w for what is wrong: in red.
func Bad(w io.Writer, text string) string { return painted(w, red, text) }

// Doubtful returns text as it stands on w for what may become wrong: in yellow.
func Doubtful(w io.Writer, text string) string { return painted(w, yellow, text) }

// Good returns text as it stands on w for what is well: in green.
func Good(w io.Writer, text string) string { return painted(w, green, text) }

func painted(w io.Writer, c colour, text string) string {
	if _, ok := w.(canvas); !ok || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// Width returns how many columns text takes: colours take none.
func Width(text string) int {
	n := 0
	for {
		before, rest, found := strings.Cut(text, "\x1b[")
		n += len([]rune(before))
		if !found {
			return n
		}
		if _, text, found = strings.Cut(rest, "m"); !found {
			return n
		}
	}
}
