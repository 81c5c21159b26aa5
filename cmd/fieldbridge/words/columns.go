package words

import (
	"bytes"
	"io"
	"strings"

	"fieldbridge/cmd/fieldbridge/paint"
)

// Columns aligns what is written to it: a tab ends a cell. As in text/tabwriter a
// column goes over the lines, one after the other, that have a cell in it; colours
// take no room, and no line ends in blanks.
type Columns struct {
	w    io.Writer
	text bytes.Buffer
}

// NewColumns returns columns that are written to w when they are flushed.
func NewColumns(w io.Writer) *Columns { return &Columns{w: w} }

// Write takes text; it does not fail.
func (c *Columns) Write(text []byte) (int, error) { return c.text.Write(text) }

// gap is how many blanks stand between columns at least.
const gap = 2

// Flush writes all lines.
func (c *Columns) Flush() error {
	text, ended := strings.CutSuffix(c.text.String(), "\n")
	if text == "" && !ended {
		return nil
	}
	c.text.Reset()
	var lines [][]string
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, strings.Split(line, "\t"))
	}
	for column, more := 0, true; more; column++ {
		more = false
		for from := 0; from < len(lines); from++ {
			to, width := from, 0
			for ; to < len(lines) && column < len(lines[to])-1; to++ {
				width = max(width, paint.Width(lines[to][column])+gap)
			}
			for _, line := range lines[from:to] {
				line[column] += strings.Repeat(" ", width-paint.Width(line[column]))
				more = true
			}
			from = max(from, to)
		}
	}
	var out bytes.Buffer
	for _, line := range lines {
		out.WriteString(strings.TrimRight(strings.Join(line, ""), " "))
		out.WriteByte('\n')
	}
	if !ended {
		out.Truncate(out.Len() - 1)
	}
	_, err := c.w.Write(out.Bytes())
	return err
}
