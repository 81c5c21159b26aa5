package trouble

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var lamp = Client{ID: "lamp", User: "hall", Remote: "10.0.0.7:4711"}

// The same trouble of one client is a line a minute, whatever port it comes from,
// and the line says how often it was.
func TestLogIsLimitedByClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := NewList(slog.New(slog.NewTextHandler(&log, nil)))
		for i := range 180 {
			l.Note(Login, Client{"lamp", "hall", fmt.Sprintf("10.0.0.7:%d", 1000+i)}, "wrong password")
			time.Sleep(time.Second)
		}
		if n := strings.Count(log.String(), "\n"); n != 3 {
			t.Errorf("%d lines in three minutes:\n%s", n, log.String())
		}
		for _, want := range []string{"client=lamp", "user=hall", "remote=10.0.0.7:1000", `cause="wrong password"`,
			"others_since_last_line=59", "trouble=refused_login"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("no %s in:\n%s", want, log.String())
			}
		}
		if e := l.Entries(); len(e) != 1 || e[0].Count != 180 || e[0].Client.Remote != "10.0.0.7:1179" {
			t.Errorf("%+v", e)
		}
		if n := l.Counts()[Login]; n != 180 {
			t.Errorf("counted %d", n)
		}
	})
}

// A crowd fills neither the log nor memory nor the health.
func TestCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := NewList(slog.New(slog.NewTextHandler(&log, nil)))
		for i := range 6000 {
			l.Note(Login, Client{ID: fmt.Sprint("c", i/2), Remote: "10.0.0.7:1"}, "wrong password")
			time.Sleep(10 * time.Millisecond)
		}
		if n := strings.Count(log.String(), "\n"); n < 20 || n > 41 {
			t.Errorf("%d lines in a minute", n)
		}
		if e := l.Entries(); len(e) != most || e[0].Client.ID != "c2999" {
			t.Errorf("%d entries, the newest of %s", len(e), e[0].Client)
		}
		if c := l.Conditions("local"); len(c) != mostShown {
			t.Errorf("%d conditions", len(c))
		}
	})
}

// A refusal is a condition from the second time on, until the client is let in or
// stays away for three times as long as it waited.
func TestConditionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewList(slog.New(slog.DiscardHandler))
		l.Note(Login, lamp, "wrong password")
		if c := l.Conditions("local"); len(c) != 0 {
			t.Errorf("after one: %v", c)
		}
		time.Sleep(time.Hour)
		l.Note(Login, lamp, "wrong password")
		time.Sleep(2 * time.Hour)
		c := l.Conditions("local")
		if len(c) != 1 || c[0].Subject != "mqtt local client lamp" || c[0].Text != `the client "lamp" of user "hall" at `+
			`10.0.0.7:4711 is refused, wrong password: give it a user and password of users, or add it there` {
			t.Fatalf("after two: %v", c)
		}
		other := lamp
		other.ID = "door"
		l.Welcome(other)
		if c := l.Conditions("local"); len(c) != 1 {
			t.Errorf("another was let in: %v", c)
		}
		time.Sleep(time.Hour + time.Second)
		if c := l.Conditions("local"); len(c) != 0 {
			t.Errorf("it stays away: %v", c)
		}
		l.Note(Login, lamp, "wrong password")
		l.Welcome(lamp)
		if c := l.Conditions("local"); len(c) != 0 || len(l.Entries()) != 0 {
			t.Errorf("let in: %v", c)
		}
	})
}

func TestRivals(t *testing.T) {
	start := time.Unix(1000, 0)
	type takeover struct {
		after   time.Duration
		old, by string
	}
	for name, tt := range map[string]struct {
		all  []takeover
		told int
	}{
		"a sensor comes back once":   {[]takeover{{0, "10.0.0.7:1", "10.0.0.7:2"}}, 0},
		"it comes back each minute":  {[]takeover{{0, "a:1", "a:2"}, {60, "a:2", "a:3"}, {60, "a:3", "a:4"}}, 0},
		"it moves to another access": {[]takeover{{0, "a:1", "b:1"}, {60, "b:1", "c:1"}}, 0},
		"two machines":               {[]takeover{{0, "a:1", "b:1"}, {5, "b:1", "a:2"}, {5, "a:2", "b:2"}}, 2},
		"two machines, slowly":       {[]takeover{{0, "a:1", "b:1"}, {100, "b:1", "a:2"}}, 1},
		"three machines": {[]takeover{{0, "a:1", "b:1"}, {1, "b:1", "c:1"}, {1, "c:1", "a:2"},
			{1, "a:2", "b:2"}}, 2},
		"two programs of one machine":      {[]takeover{{0, "a:1", "a:2"}, {1, "a:2", "a:3"}, {1, "a:3", "a:4"}}, 1},
		"a machine comes back years later": {[]takeover{{0, "a:1", "b:1"}, {1e6, "b:1", "a:2"}}, 0},
	} {
		var r Rivals
		now, told := start, 0
		for _, v := range tt.all {
			now = now.Add(v.after * time.Second)
			if text := r.TakenOver("s", v.old, v.by, now); text != "" {
				told++
				if !strings.Contains(text, v.old) || !strings.Contains(text, v.by) {
					t.Errorf("%s: %s", name, text)
				}
			}
		}
		if told != tt.told {
			t.Errorf("%s: told %d times, want %d", name, told, tt.told)
		}
	}
}

func TestShort(t *testing.T) {
	for in, want := range map[string]string{"": "", "a": "a", strings.Repeat("x", 64): strings.Repeat("x", 64),
		strings.Repeat("x", 65): strings.Repeat("x", 64) + "…", strings.Repeat("ü", 40): strings.Repeat("ü", 32) + "…",
		"x" + strings.Repeat("ü", 40): "x" + strings.Repeat("ü", 31) + "…"} {
		if got := Short(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// TestKinds: the manual has each kind, and each that is a condition says what to do.
func TestKinds(t *testing.T) {
	manual, err := os.ReadFile("../../../docs/sensors.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, k := range Kinds() {
		if seen[k.Code] || k.Advice == "" || (k.is == nil) != (k.least == 0) ||
			!strings.Contains(string(manual), "| `"+k.Code+"` |") {
			t.Errorf("%+v", *k)
		}
		seen[k.Code] = true
	}
}
