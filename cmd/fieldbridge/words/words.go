// Package words writes for people what programs keep as numbers: spans, amounts,
// sizes, and tables of them.
package words

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

// Ago writes a time span with its two largest units at most.
func Ago(d time.Duration) string {
	switch d = d.Round(100 * time.Millisecond); {
	case d < time.Minute:
		return strconv.FormatFloat(max(0, d.Seconds()), 'f', -1, 64) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days %d h", int(d.Hours())/24, int(d.Hours())%24)
}

// Millis writes a number of milliseconds.
func Millis(ms float64) string {
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// Days writes a time span in whole days, a short one as [Ago] does.
func Days(d time.Duration) string {
	if d < 48*time.Hour {
		return Ago(d)
	}
	return Thousands(uint64(d.Hours()/24)) + " days"
}

// Thousands writes n with a comma after each three digits.
func Thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Bytes writes a number of bytes with three digits.
func Bytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	digits := 0
	if i > 0 && v < 100 {
		digits = 1
	}
	return strings.TrimSuffix(strconv.FormatFloat(math.Round(v*10)/10, 'f', digits, 64), ".0") + " " + units[i]
}

// Printable quotes what a terminal could mistake for something else: a client
// chooses its topics.
func Printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// Terminal reports whether w is one.
func Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Asks reports whether somebody can answer at in: a file is asked only if it is a
// terminal.
func Asks(in io.Reader) bool {
	f, file := in.(*os.File)
	return !file || term.IsTerminal(int(f.Fd()))
}

// JSON prints a value for programs.
func JSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// Table prints aligned columns, indented; a long last column is wrapped.
type Table struct{ w *Columns }

// NewTable returns a table that is written to w when it is flushed.
func NewTable(w io.Writer) Table { return Table{NewColumns(w)} }

// Row adds a row; all have as many cells.
func (t Table) Row(cells ...string) {
	last := len(cells) - 1
	lines := wrap(cells[last], 60)
	fmt.Fprintf(t.w, "  %s\t%s\n", strings.Join(cells[:last], "\t"), lines[0])
	for _, more := range lines[1:] {
		fmt.Fprintf(t.w, "  %s\t%s\n", strings.Repeat("\t", last-1), more)
	}
}

// Flush writes the rows.
func (t Table) Flush() { _ = t.w.Flush() } // what cannot be written nobody sees

// wrap breaks text at spaces into lines of about width characters.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
