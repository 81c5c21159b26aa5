package tree

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each usual mistake of syntax has its own words. testdata has more of them.
func TestSyntax(t *testing.T) {
	const (
		noFit = "this line does not fit the ones before it: give the keys of one map the same indentation, and close " +
			"quotes and brackets before it"
		brackets = ": check that each { has its } and each [ its ], with commas between the parts"
		afterKey = "keys after ? are not supported: write it as key: value"
		noSpace  = "no space after the colon: write key: value"
		notClose = "text after the closing quote: put all of it in one pair of quotes"
		listKey  = "a list cannot be a key: put text with { or [ in it in double quotes"
		comma    = "a comma without a value before it: remove it; if it is text, put it in double quotes"
		star     = "text that begins with * or & needs quotes: put it in double quotes"
		item     = "a list entry where a value is expected: begin the list on a line of its own, or write [a, b]"
		second   = "a second YAML document: remove this line and what follows it: a file holds one configuration"
		values   = "write the values out, or share them by profiles, defaults and groups of a fleet file"
		tab      = "a tab in the indentation: YAML wants spaces: replace each tab by two"
	)
	tests := map[string]string{
		"a: b\n\tc: d\n":      "2:1: " + tab,
		"a:\n\tb: c\n":        "2:1: " + tab,
		"a: b\n\n\t\nc: d\n":  "",
		"a: \tb\t# c\n":       "",
		"a: [1, 2\nb: c\n":    "1:4: the [ here is not closed" + brackets,
		"a: {b: [c}\n":        "1:4: the { here is not closed" + brackets,
		"a: {b: c}}\n":        "1:10: the brackets do not match" + brackets,
		"a: ]\n":              "1:4: the brackets do not match" + brackets,
		"a: {{x}} y\n":        "1:5: {x} without quotes is a map to YAML: put the whole text in double quotes",
		"a: b: c\n":           `1:4: a second colon in one line: put text with ": " in it in double quotes`,
		"a: \"b\" c: d\n":     "1:8: " + notClose,
		"a: 'x' y\n":          "1:8: " + notClose,
		"a: 'it's'\n":         "1:8: " + notClose,
		"- a\nb: c\n":         "2:1: " + noFit,
		"a: b\n- c\n":         "2:1: " + noFit,
		"a:\n  b: c\n d: e\n": "3:2: " + noFit,
		"a: 1\nfoo\nb: 2\n":   "2:1: a line without a colon: write key: value",
		"a: 1\nb:2\nc: 2\n":   "2:1: " + noSpace,
		"a: {b:c, d: e}\n":    "1:5: " + noSpace,
		"a: \"x\n":            "1:4: text in quotes does not end: close it with the quote that it began with",
		"a: \"\\q\"\n": `1:4: a backslash in double quotes that escapes nothing: write \\ for a backslash, or use ` +
			`single quotes`,
		"a: {b: c, b: d}\n": `1:11: key "b" is given twice, first in line 1: remove one of them`,
		"? a\n":             "1:1: " + afterKey,
		"a: {? b}\n":        "1:5: " + afterKey,
		"[a]: b\n":          "1:1: " + listKey,
		"a: {[b]: c}\n":     "1:5: " + listKey,
		"a: !!str b\n": `1:4: "!!str" is a YAML tag, which is not supported: remove it; if it is text, put it in ` +
			`quotes`,
		"a: ! b\n":        `1:4: "!" is a YAML tag, which is not supported: remove it; if it is text, put it in quotes`,
		"a: &x b\n":       "1:4: anchors (&name) are not supported: " + values,
		"a: &x\n  b: c\n": "1:4: anchors (&name) are not supported: " + values,
		"a: *x\n": `1:4: "*x" is a YAML alias, which is not supported: if it is text, put it in quotes; else ` +
			`write the values out`,
		"a: * b\n":              "1:4: " + star,
		"a: &\n":                "1:4: " + star,
		"<<: b\n":               "1:1: the merge key << is not supported: " + values,
		"--- a: b\n":            "1:5: text after ---: remove the ---: a file holds one configuration",
		"---\na: b\n...\n":      "",
		"a: b\n...\nc\n":        "3:1: " + second,
		"a: b\n---\nc: d\n":     "2:1: " + second,
		"a: |2x\n y\n":          "1:6: text after | or >: begin the text on the next line, indented",
		"a: @b\n":               "1:4: text that begins with @ or ` needs quotes: put it in double quotes",
		"a: [%b, c]\n":          `1:5: text that begins with % needs quotes: write "%b"`,
		"%foo: bar\n":           `1:1: text that begins with % needs quotes: write "%foo"`,
		"# c\n%YAML 1.1\n---\n": "2:1: YAML directives are not used here: remove the line",
		"a: , b\n":              "1:4: " + comma,
		"a: [a,,b]\n":           "1:7: " + comma,
		"a: - b\n":              "1:4: " + item,
		"a: \u0085b\n":          "1:4: control character U+0085: remove it: a configuration is plain text",
		"a: \"\u2028\"\n":       "1:5: control character U+2028: remove it: a configuration is plain text",
		"a:b\n":                 "1:1: the file has no keys: begin it with gateway: NAME",
		"~\n":                   "1:1: the file has no keys: begin it with gateway: NAME",
		"---\n":                 "1:1: the file is empty: write a first configuration with: fieldbridge init",
	}
	for text, want := range tests {
		_, problems := Parse("f", []byte(text))
		var got []string
		for _, p := range problems {
			got = append(got, strings.TrimPrefix(p.String(), "f:"))
		}
		if diff := cmp.Diff(want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// outline writes a tree so that a test can tell it: kinds, places and texts.
func outline(n *Node) string {
	at := fmt.Sprintf("%d:%d", n.Pos.Line, n.Pos.Column)
	var parts []string
	switch n.Kind {
	case Scalar:
		if n.Plain {
			return at + "=" + n.Text
		}
		return fmt.Sprintf("%s=%q", at, n.Text)
	case Null:
		return at + "=null"
	case List:
		for _, item := range n.Items {
			parts = append(parts, outline(item))
		}
		return at + "[" + strings.Join(parts, " ") + "]"
	}
	for _, m := range n.Members {
		mark := ":"
		if m.Bare {
			mark = "?"
		}
		parts = append(parts, fmt.Sprintf("%d:%d %s%s", m.Pos.Line, m.Pos.Column, m.Key, mark)+outline(m.Value))
	}
	return at + "{" + strings.Join(parts, " ") + "}"
}

// Values stand where they begin, columns counted in characters.
func TestPositions(t *testing.T) {
	tests := map[string]string{
		"a: 1\nb: {c: [1, -2, 'x y', \"°C\"], d: {}, e: []}": `1:1{1:1 a:1:4=1 ` +
			`2:1 b:2:4{2:5 c:2:8[2:9=1 2:12=-2 2:16="x y" 2:23="°C"] ` +
			`2:30 d:2:33{} 2:37 e:2:40[]}}`,
		"f:\n- 1\n- g: 2\n  h: ~\ni:\n  - x # y\n  -   z: 1\n": `1:1{1:1 f:2:1[2:3=1 3:3{3:3 g:3:6=2 4:3 h:4:6=null}] ` +
			`5:1 i:6:3[6:5=x 7:7{7:7 z:7:10=1}]}`,
		"j:\nk: a b#c # d\n":                     "1:1{1:1 j:1:1=null 2:1 k:2:4=a b#c}",
		"ä: {öl, ü: é}\n":                        "1:1{1:1 ä:1:4{1:5 öl?1:5=null 1:9 ü:1:12=é}}",
		"a: {\"b\", 'c' : d}\n":                  `1:1{1:1 a:1:4{1:5 b?1:5=null 1:10 c:1:16=d}}`,
		"a: b\n  c\nd: |\n  e\n  f\n":            `1:1{1:1 a:1:4=b c 3:1 d:3:4="e\nf\n"}`,
		"a: .inf\nb: 0o7\nc: 1_0\nd: 12:30\n":    "1:1{1:1 a:1:4=.inf 2:1 b:2:4=0o7 3:1 c:3:4=1_0 4:1 d:4:4=12:30}",
		"a: yes\nb: Null\nc: ''\nd: 'null'\n":    `1:1{1:1 a:1:4=yes 2:1 b:2:4=null 3:1 c:3:4="" 4:1 d:4:4="null"}`,
		"  a:\n    b: c:d\n":                     "1:3{1:3 a:2:5{2:5 b:2:8=c:d}}",
		"{a: 1,\n  b: [\n    2,\n    {c: 3}]}\n": "1:1{1:2 a:1:5=1 2:3 b:2:6[3:5=2 4:5{4:6 c:4:9=3}]}",
		"'<<': a\n=: b\n":                        "1:1{1:1 <<:1:7=a 2:1 =:2:4=b}",
	}
	for text, want := range tests {
		root, problems := Parse("f", []byte(text))
		if len(problems) > 0 {
			t.Errorf("%q: %v", text, problems)
			continue
		}
		if diff := cmp.Diff(want, outline(root)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}
