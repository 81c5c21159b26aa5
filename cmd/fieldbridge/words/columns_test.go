package words

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"text/tabwriter"
)

// TestColumns holds columns against text/tabwriter, but for blanks at the end of lines.
func TestColumns(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var text strings.Builder
		for range random.IntN(12) {
			text.WriteString([]string{"a", "bcd", "größe", "\t", "\t", "\n", " ", "°C"}[random.IntN(8)])
		}
		text.WriteByte('\n')
		var want, got bytes.Buffer
		w := tabwriter.NewWriter(&want, 0, 0, gap, ' ', 0)
		c := NewColumns(&got)
		_, _ = io.WriteString(w, text.String()) // to a buffer
		_, _ = io.WriteString(c, text.String())
		_ = w.Flush()
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(want.String(), "\n")
		for i, line := range lines {
			lines[i] = strings.TrimRight(line, " ")
		}
		if trimmed := strings.Join(lines, "\n"); got.String() != trimmed {
			t.Fatalf("%q: %q, want %q", text.String(), got.String(), trimmed)
		}
	}
}

// Colours take no room.
func TestColumnsOfColours(t *testing.T) {
	var got bytes.Buffer
	c := NewColumns(&got)
	_, _ = io.WriteString(c, "a\t\x1b[31mbad\x1b[0m\tx\nb\t21.5\ty\n")
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if want := "a  \x1b[31mbad\x1b[0m   x\nb  21.5  y\n"; got.String() != want {
		t.Errorf("%q, want %q", got.String(), want)
	}
}
