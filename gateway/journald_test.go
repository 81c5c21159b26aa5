package gateway

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fieldbridge/configs"
)

// TestJournalPriorities: lines to the journal begin with their severity as
// sd-daemon(3) says, and no other lines do; a person who is sent the last lines sees none.
func TestJournalPriorities(t *testing.T) {
	for name, tt := range map[string]struct {
		stream func(dev, ino uint64) string
		want   bool
	}{
		"the journal":          {func(dev, ino uint64) string { return fmt.Sprintf("%d:%d", dev, ino) }, true},
		"led elsewhere since":  {func(dev, ino uint64) string { return fmt.Sprintf("%d:%d", dev, ino+1) }, false},
		"another device":       {func(dev, ino uint64) string { return fmt.Sprintf("%d:%d", dev+1, ino) }, false},
		"no journal":           {func(uint64, uint64) string { return "" }, false},
		"what nobody can read": {func(uint64, uint64) string { return "yes" }, false},
	} {
		for _, format := range []string{"text", "json"} {
			t.Run(name+", "+format, func(t *testing.T) {
				f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				info, err := f.Stat()
				if err != nil {
					t.Fatal(err)
				}
				is := info.Sys().(*syscall.Stat_t)
				t.Setenv("JOURNAL_STREAM", tt.stream(uint64(is.Dev), is.Ino))
				l := NewLogging(f, configs.Log{Level: "debug", Format: format})
				part := l.Logger.With("part", "queue").WithGroup("g")
				for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError,
					slog.LevelError + 4} {
					part.Log(t.Context(), level, "two\nlines", "a", 1)
				}
				data, err := os.ReadFile(f.Name())
				if err != nil {
					t.Fatal(err)
				}
				lines := strings.Split(strings.TrimSpace(string(data)), "\n")
				if len(lines) != 5 {
					t.Fatalf("%d lines:\n%s", len(lines), data)
				}
				for i, prefix := range []string{"<7>", "<6>", "<4>", "<3>", "<3>"} {
					rest, has := strings.CutPrefix(lines[i], prefix)
					if has != tt.want || strings.HasPrefix(rest, "<") {
						t.Errorf("line %d: %s", i, lines[i])
					}
					if format == "json" && !json.Valid([]byte(rest)) {
						t.Errorf("line %d is no JSON: %s", i, rest)
					} else if format == "text" && !strings.HasPrefix(rest, "time=") {
						t.Errorf("line %d: %s", i, rest)
					}
				}
				if text := string(l.lines.Text()); strings.Contains(text, "<7>") {
					t.Errorf("the last lines: %s", text)
				}
			})
		}
	}
}
