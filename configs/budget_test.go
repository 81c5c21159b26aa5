package configs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fieldbridge/configs/tree"
)

// TestBombs: a configuration that would take minutes and the memory is refused in
// a moment, at a place, whatever it is made of.
func TestBombs(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var lists, texts, maps strings.Builder
	for i := range 40 {
		fmt.Fprintf(&lists, "  a%d: [\"${a%d}\", \"${a%d}\"]\n", i, i+1, i+1)
		fmt.Fprintf(&texts, "  a%d: \"${a%d}${a%d}\"\n", i, i+1, i+1)
		fmt.Fprintf(&maps, "  a%d: {x: \"${a%d}\", y: \"${a%d}\"}\n", i, i+1, i+1)
	}
	for i := range 1100 {
		write(fmt.Sprintf("many/%04d.yaml", i), "watch: true\n")
	}
	for i := range 6 {
		// A tab cannot begin anything: what follows is read and counted, and not parsed, which takes long.
		write(fmt.Sprintf("large/%d.yaml", i), "\tlabels: {a: x}\n"+strings.Repeat("#"+strings.Repeat("x", 1<<20)+"\n", 13))
	}
	write("big", strings.Repeat("x", 1<<20))
	profile := "profiles: {p: {points: {\"p{1..9000}\": {holding: 0}}}}\n"
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"lists": {"vars:\n" + lists.String() + "  a40: [x]\nlabels: {a: \"${a0}\"}\n",
			"variables make more than 1000000 values"},
		"maps": {"vars:\n" + maps.String() + "  a40: x\nlabels: {a: \"${a0}\"}\n",
			"variables make more than 1000000 values"},
		"texts": {"vars:\n" + texts.String() + "  a40: xxxxxxxx\nlabels: {a: \"${a0}\"}\n",
			"longer than 65536 bytes"},
		"bytes": {"vars: {b: \"${file:big}\"}\nlabels: {" +
			strings.Repeat("a: \"${b}\", ", 1) + manyLabels("${b}", 20) + "}\n", "more than 16 MiB of text"},
		"files":      {"include: many\n", "more than 1000 files are included"},
		"bytes read": {"include: large\n", "have more than 64 MiB"},
		"profiles": {profile + "southbound: {modbus: {devices: {\"d{1..9000}\": {profile: p}}}}\n",
			"becomes more than 4000000 values"},
		"pipe":   {"include: pipe.yaml\n", "is not a regular file"},
		"device": {"include: /dev/zero\n", "is not a regular file"},
		"pipe as a value": {strings.TrimPrefix(north, "gateway: g\n") + "labels: {a: \"${file:pipe.yaml}\"}\n",
			"is not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(strings.ReplaceAll(name, " ", "-")+"-bomb.yaml", "gateway: g\n"+tt.text)
			// Without its budget most of these would take hours, and the test its timeout.
			l, err := Load(t.Context(), file)
			if err == nil {
				err = tree.ErrorOf(l.Missing...)
			}
			if err == nil {
				t.Fatal("it is taken")
			}
			if text := err.Error(); !strings.Contains(text, tt.want) || !strings.Contains(text, dir) || len(text) > 100_000 {
				t.Errorf("got %d bytes: %.300s", len(text), text)
			}
		})
	}
}

func manyLabels(value string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "l%d: \"%s\", ", i, value)
	}
	return b.String()
}

// TestIncludedOften: what is included by many is read once.
func TestIncludedOften(t *testing.T) {
	dir := t.TempDir()
	for i := range 60 {
		text := fmt.Sprintf("include: [\"%d.yaml\", \"%d.yaml\"]\nlabels: {l%d: x}\n", i+1, i+1, i)
		if i == 59 {
			text = north
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := Load(t.Context(), filepath.Join(dir, "0.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Files) != 60 || len(l.Config.Labels) != 59 {
		t.Errorf("%d files, %d labels", len(l.Files), len(l.Config.Labels))
	}
}

// TestLoadEnds: a load ends with its context.
func TestLoadEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, file := range []string{"examples/every-key.yaml", "examples/fleet.yaml"} {
		if _, err := LoadGateway(ctx, file, "brno-2"); err == nil || !strings.Contains(err.Error(), "interrupted") {
			t.Errorf("%s: %v", file, err)
		}
		if _, err := LoadEach(ctx, file); err == nil || !strings.Contains(err.Error(), "interrupted") {
			t.Errorf("%s: %v", file, err)
		}
	}
}
