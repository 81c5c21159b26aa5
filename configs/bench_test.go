package configs

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkLoad loads a gateway with 10 devices of 1,000 points: what a start
// takes, and what most of its peak memory is.
func BenchmarkLoad(b *testing.B) {
	var text strings.Builder
	text.WriteString(north + "southbound:\n  modbus:\n    buses:\n")
	for d := range 10 {
		fmt.Fprintf(&text, "      b%d: {url: \"tcp://10.0.0.%d\"}\n", d, d+1)
	}
	text.WriteString("    devices:\n")
	for d := range 10 {
		fmt.Fprintf(&text, "      d%d:\n        bus: b%d\n        points:\n", d, d)
		for i := range 1000 {
			fmt.Fprintf(&text, "          p%d: {holding: %d, type: uint16}\n", i, i)
		}
	}
	content := []byte(text.String())
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("g.yaml", content); err != nil {
			b.Fatal(err)
		}
	}
}
