package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	configtree "fieldbridge/configs/tree"
)

// A canary is a secret that must not be seen: as a password, and as a key.
const (
	canaryWord = "kanarek-7f3a91c2"
	canaryPEM  = "-----BEGIN PRIVATE KEY-----\nkanarek7f3a91c2MIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n"
)

// seen returns what of a canary stands in a text.
func seen(text string) string {
	for _, word := range []string{"kanarek", "KANAREK", "a2FuYXJla"} { // and in base64
		if i := strings.Index(text, word); i >= 0 {
			return text[max(0, i-100):min(len(text), i+100)]
		}
	}
	return ""
}

// leaves calls visit for each value of n that is one text.
func leaves(n *configtree.Node, path []string, visit func(path []string, n *configtree.Node)) {
	if n.Kind == configtree.Scalar {
		visit(path, n)
	}
	for i, item := range n.Items {
		leaves(item, append(slices.Clip(path), fmt.Sprint(i)), visit)
	}
	for _, m := range n.Members {
		leaves(m.Value, append(slices.Clip(path), m.Key), visit)
	}
}

// planted returns a configuration with another text where n stands.
func planted(lines []string, n *configtree.Node, text string) string {
	lines = slices.Clone(lines)
	line := []rune(lines[n.Pos.Line-1])
	from := n.Pos.Column - 1
	to := from + len([]rune(n.Text))
	if !n.Plain {
		to += 2
	}
	lines[n.Pos.Line-1] = string(line[:from]) + text + string(line[to:])
	return strings.Join(lines, "\n")
}

// published are the keys whose values are told to the cloud and to people by their
// purpose: names, topics and labels. Only PEM text must not be seen there.
func published(path []string) bool {
	key := path[len(path)-1]
	names := []string{"gateway", "client_id", "topic", "basic_ingest", "status_topic", "name"}
	return slices.Contains(names, key) || slices.Contains(path, "labels")
}

// canaries puts them into the environment, before any test runs.
func canaries() {
	os.Setenv("FB_CANARY_WORD", canaryWord)
	os.Setenv("FB_CANARY_KEY", canaryPEM)
}

// TestCanaries plants a secret in each key of a configuration that has all of them,
// by ${file:}, by ${env:} and as PEM text: nothing of it is ever printed.
func TestCanaries(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../configs/examples/every-key.yaml")
	if err != nil {
		t.Fatal(err)
	}
	root, problems := configtree.Parse("every-key.yaml", content)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("word", canaryWord+"\n")
	write("key", canaryPEM)
	whole, file := write("whole.yaml", string(content)), filepath.Join(dir, "planted.yaml")
	ways := map[string]string{"word in a file": `"${file:word}"`, "word in the environment": `"${env:FB_CANARY_WORD}"`,
		"word in a text": `"tcp://a:${file:word}@h:1"`, "key in a file": `"${file:key}"`,
		"key in the environment": `"${env:FB_CANARY_KEY}"`, "key": fmt.Sprintf("%q", canaryPEM)}
	commands := [][]string{{"check", file}, {"check", file, "--json"},
		{"fleet", "render", file, "--gateway", "press-line-2", "--origin"}, {"fleet", "diff", whole, file}}
	// Each key gets one of the ways, and one or two of the commands; a soak all of all.
	all, nth := os.Getenv("FIELDBRIDGE_SOAK") != "", 0
	lines, pairs, n := strings.Split(string(content), "\n"), make(map[string]int), 0
	leaves(root, nil, func(path []string, leaf *configtree.Node) {
		if nth++; testing.Short() && nth%8 != 0 && !strings.Contains(leaf.Text, "/") {
			return
		}
		fit := slices.DeleteFunc(slices.Sorted(maps.Keys(ways)),
			func(way string) bool { return strings.HasPrefix(way, "word") && published(path) })
		for i, way := range fit {
			if !all && i != nth%len(fit) {
				continue
			}
			write("planted.yaml", planted(lines, leaf, ways[way]))
			for j, args := range commands {
				if !all && j != 0 && j != nth/len(fit)%len(commands) {
					continue
				}
				var out bytes.Buffer
				dispatch(t.Context(), args, strings.NewReader(""), &out, &out)
				if part := seen(out.String()); part != "" {
					t.Errorf("%s as %s is printed by %v: %s", strings.Join(path, "."), way, args[:2], part)
				}
				pairs[way+fmt.Sprint(j)]++
				n++
			}
		}
	})
	if least := map[bool]int{false: 300, true: 4000}[all]; n < least && !testing.Short() {
		t.Errorf("only %d outputs were searched", n)
	}
	if want := len(ways) * len(commands); len(pairs) != want && !testing.Short() {
		t.Errorf("%d pairs of a way and a command were tried, of %d: %v", len(pairs), want, pairs)
	}
	t.Logf("%d outputs: %v", n, pairs)
}
