package setting

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// remembers makes what is remembered of a file, and counts how often it is made.
type remembers struct {
	Remembered[string]
	made int
}

func (r *remembers) get(t *testing.T, path Path) string {
	t.Helper()
	text, err := r.Get(LookAt(path), func() (string, error) {
		r.made++
		b, err := path.Read()
		return string(b), err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return text
}

// TestRemembered: a file is read again when it has changed, and as long as a change might
// not show in its times.
func TestRemembered(t *testing.T) {
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(t.TempDir(), "file")
	path := Path(name)
	begin := time.Now()
	write(name, "one")
	var fresh remembers
	for range 3 {
		fresh.get(t, path)
	}
	if fresh.made != 3 && time.Since(begin) < coarse {
		t.Errorf("a file of this moment was read %d times of 3", fresh.made)
	}
	synctest.Test(t, func(t *testing.T) { // its clock is far from the file's
		var r remembers
		expect := func(text string, made int) {
			t.Helper()
			if got := r.get(t, path); got != text || r.made != made {
				t.Errorf("%q, made %d times, want %q and %d", got, r.made, text, made)
			}
		}
		expect("one", 1)
		expect("one", 1)
		write(name+"~", "two")
		if err := os.Rename(name+"~", name); err != nil { // of the same size, perhaps at the same time
			t.Fatal(err)
		}
		expect("two", 2)
		expect("two", 2)
		if err := os.Chtimes(name, time.Time{}, time.UnixMilli(1)); err != nil {
			t.Fatal(err)
		}
		expect("two", 3)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		expect("", 4) // that it is not there is an error, which is not remembered
		expect("", 5)
	})
	t.Setenv("FB_TEST_REMEMBERED", name)
	write(name, "three")
	synctest.Test(t, func(t *testing.T) {
		var r remembers
		for range 2 {
			if r.get(t, "${env:FB_TEST_REMEMBERED}"); r.made != 1 {
				t.Errorf("a path of the environment: made %d times", r.made)
			}
		}
	})
}
