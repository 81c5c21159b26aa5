package password

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/needtest"
)

func mustParse(t *testing.T, text string) Hash {
	t.Helper()
	h, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHash(t *testing.T) {
	text, err := New([]byte("s3cret"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := New([]byte("s3cret"))
	if err != nil || text == again {
		t.Errorf("two hashes with one salt: %s, %v", again, err)
	}
	for name, h := range map[string]Hash{"new": mustParse(t, text), "clear": mustParse(t, "s3cret"),
		// printf s3cretSALT | openssl dgst -sha512 -binary | base64
		"$6$": mustParse(t, "$6$U0FMVA==$"+sha512Base64)} {
		for given, want := range map[string]bool{"s3cret": true, "s3cre": false, "s3crets": false, "": false} {
			if got := h.Matches([]byte(given)); got != want {
				t.Errorf("%s: %q matches: %v", name, given, got)
			}
		}
	}
	if (Hash{}).Matches(nil) || (Hash{}).Matches([]byte("x")) {
		t.Error("nobody's hash matches")
	}
	if !mustParse(t, "s3cret").Clear() || mustParse(t, text).Clear() {
		t.Error("what is clear text?")
	}
	for _, wrong := range []string{"$7$", "$6$", "$7$101$", "$7$0$QUJD$QUJD", "$7$9999999999$QUJD$QUJD", "$7$x$QUJD$QUJD",
		"$6$QUJD$QUJD", "$6$!!$" + sha512Base64, "$6$$" + sha512Base64, "$7$101$U0FMVA==$" + sha512Base64 + "$x"} {
		if _, err := Parse(wrong); err == nil || strings.Contains(err.Error(), sha512Base64) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// sha512Base64 is of "s3cret" with the salt "SALT".
const sha512Base64 = "uO70IuFyyPqX/uGZRFyw6CPcINGSvJH5t84tq35ljj6JbAYrSyWjDhf1vnKsLFzWNJZ6E1oQemG3EpmmcBS5XQ=="

// TestMosquitto reads what mosquitto_passwd writes.
func TestMosquitto(t *testing.T) {
	tool := needtest.Program(t, "mosquitto_passwd")
	for _, kind := range []string{"sha512", "sha512-pbkdf2"} {
		file := filepath.Join(t.TempDir(), "passwords")
		out, err := exec.Command(tool, "-H", kind, "-c", "-b", file, "hall", "s3cret").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(strings.TrimSpace(string(b)), ":")
		if h := mustParse(t, text); !IsHash(text) || !h.Matches([]byte("s3cret")) || h.Matches([]byte("other")) {
			t.Errorf("%s: %s is not understood", kind, text)
		}
	}
}

func newGuard(t *testing.T) *Guard {
	t.Helper()
	g, err := NewGuard()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func fast(t *testing.T) Hash { return mustParse(t, "s3cret") }

// TestDelays: guessing gets slow, for the one who guesses alone.
func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t)
		check := func(address, user, pass string) (ok bool, took time.Duration) {
			start := time.Now()
			ok = g.Check(t.Context(), address, user, []byte(pass), fast(t))
			return ok, time.Since(start)
		}
		var all time.Duration
		for i := range 20 {
			ok, took := check("10.0.0.1", "hall", fmt.Sprint(i))
			all += took
			if ok || i > 8 && took != mostDelay {
				t.Fatalf("guess %d: %v after %v", i, ok, took)
			}
		}
		if all < time.Minute {
			t.Errorf("20 guesses took %v", all)
		}
		if ok, took := check("10.0.0.2", "hall", "s3cret"); !ok || took != 0 {
			t.Errorf("another address with the right password: %v after %v", ok, took)
		}
		// It is known now: even the guesser's address gets in at once with it.
		if ok, took := check("10.0.0.1", "hall", "s3cret"); !ok || took != 0 {
			t.Errorf("a known password: %v after %v", ok, took)
		}
		if n := g.Refused(); n == 0 || n > 20 {
			t.Errorf("%d refused in the last minute", n)
		}
		time.Sleep(time.Minute + time.Second)
		if n := g.Refused(); n != 0 {
			t.Errorf("%d refused in a minute without guesses", n)
		}
		time.Sleep(forgiveAfter)
		if _, took := check("10.0.0.1", "hall", "x"); took != 0 {
			t.Errorf("after a pause the first guess waits %v", took)
		}
	})
}

// TestStrangeUsers: who tries many names waits, whatever the name.
func TestStrangeUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t)
		start := time.Now()
		for i := range 30 {
			g.Check(t.Context(), "10.0.0.1", fmt.Sprint("user", i), []byte("x"), fast(t))
		}
		if took := time.Since(start); took < 30*time.Second {
			t.Errorf("30 names took %v", took)
		}
		start = time.Now()
		if !g.Check(t.Context(), "10.0.0.2", "hall", []byte("s3cret"), fast(t)) || time.Since(start) != 0 {
			t.Errorf("another address waited %v", time.Since(start))
		}
	})
}

// TestHashingBudget: guesses from many addresses take no more than their share
// of a core, and those without a wrong answer have a budget of their own.
func TestHashingBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t)
		slow := Hash{kind: '7', iterations: 200_000} // 100 ms
		var spent time.Duration
		for i := range 50 {
			address := fmt.Sprint("10.0.0.", i)
			g.after(address, "x", "", [32]byte{}, false)
			if !g.mayHash(t.Context(), address, slow) {
				t.Fatal("not at all")
			}
			spent += slow.cost()
		}
		if most := time.Duration(share*float64(
			time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))) + burst; spent > most+slow.cost() {
			t.Errorf("%v of hashing in %v", spent, most)
		}
		start := time.Now()
		if !g.mayHash(t.Context(), "10.0.1.1", slow) || time.Since(start) != 0 {
			t.Errorf("an address without a wrong answer waited %v", time.Since(start))
		}
	})
}

// TestContextEnds: who hangs up is not waited for.
func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t)
		for range 12 {
			g.Check(t.Context(), "a", "u", []byte("x"), fast(t))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if g.Check(ctx, "a", "u", []byte("s3cret"), fast(t)) || time.Since(start) != time.Second {
			t.Errorf("waited %v", time.Since(start))
		}
	})
}

// TestBounded: addresses without end take no memory without end.
func TestBounded(t *testing.T) {
	g := newGuard(t)
	for i := range 3 * mostRemembered {
		g.after(fmt.Sprint(i), "u", "", [32]byte{}, false)
	}
	if n := len(g.wrong); n > mostRemembered+1 {
		t.Errorf("%d remembered", n)
	}
	if n := len(g.refused); n > mostRefused {
		t.Errorf("%d refusals", n)
	}
}

// TestTogether: many at once, under the race detector.
func TestTogether(t *testing.T) {
	g := newGuard(t)
	h := fast(t)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 50 {
				if !g.Check(t.Context(), fmt.Sprint(i), fmt.Sprint(j), []byte("s3cret"), h) {
					t.Error("refused")
				}
			}
			g.Forget()
			g.Refused()
		})
	}
	all.Wait()
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"$7$101$QUJD$QUJD", "$6$QUJD$" + sha512Base64, "plain", "$7$$$", "$"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := Parse(s); err == nil && h.kind == '7' && (h.iterations < 1 || h.iterations > mostIterations) {
			t.Errorf("%q: %d iterations", s, h.iterations)
		}
	})
}
