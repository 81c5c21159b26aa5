package awsiottest

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestChecklist: checklist.md has each line, and only tests that exist.
func TestChecklist(t *testing.T) {
	tests := func(patterns ...string) map[string]bool {
		names := make(map[string]bool)
		var files []string
		for _, pattern := range patterns {
			found, err := filepath.Glob(pattern)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, found...)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllStringSubmatch(string(source),
				-1) {
				names[m[1]] = true
			}
		}
		return names
	}
	standIn, session := tests("*_test.go"), tests("../*_test.go", "../uplink/*_test.go")
	text, err := os.ReadFile("checklist.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := make(map[int]bool)
	for row := range strings.Lines(string(text)) {
		cells := strings.Split(row, " | ")
		line, err := strconv.Atoi(strings.TrimPrefix(cells[0], "| "))
		if err != nil {
			continue
		}
		if lines[line] = true; len(cells) != 5 {
			t.Fatalf("line %d has %d cells", line, len(cells))
		}
		for i, known := range map[int]map[string]bool{2: standIn, 3: standIn, 4: session} {
			cell := strings.Trim(cells[i], " |\n")
			if cell == "" && i == 3 || cell == "–" && i == 4 {
				continue
			}
			for name := range strings.SplitSeq(cell, ", ") {
				if !known[name] {
					t.Errorf("line %d: there is no %q", line, name)
				}
			}
		}
	}
	for line := 1; line <= 52; line++ {
		if !lines[line] && line != 47 {
			t.Errorf("line %d is missing", line)
		}
	}
}
