package release

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestBackToPackaged puts the packaged program on trial in the place of a release.
func TestBackToPackaged(t *testing.T) {
	for _, works := range []bool{true, false} {
		r := newRig(t)
		r.begin("1.1.0")
		if err := r.Commit("1.1.0"); err != nil {
			t.Fatal(err)
		}
		r.Running = "1.1.0"
		if err := r.stage("1.1.0"); !errors.Is(err, ErrRuns) {
			t.Errorf("what runs, again: %v", err)
		}
		r.begin("1.0.0")
		if slices.Contains(files(t, r.Dir), "1.0.0") {
			t.Error("the packaged program is kept a second time")
		}
		r.Running = ""
		r.runs("packaged <nil>")
		if works {
			if err := r.Commit("1.0.0"); err != nil {
				t.Fatal(err)
			}
			if s := r.slots(); s.Current != "" || s.Previous != "1.1.0" || !s.Last.Committed {
				t.Errorf("%+v", s)
			}
			r.runs("packaged <nil>")
			r.begin("1.1.0") // it is there still
			r.runs("1.1.0")
			continue
		}
		r.runs("packaged <nil>")
		r.runs("packaged <nil>")
		r.runs("1.1.0")
		if why, bad := ptr(r.slots()).IsBad("1.0.0"); !bad || !strings.Contains(why, "started 3 times") {
			t.Errorf("%q", why)
		}
	}
}

// TestMended sends a release again whose committed file broke.
func TestMended(t *testing.T) {
	for _, works := range []bool{true, false} {
		r := newRig(t)
		r.begin("1.1.0")
		if err := errors.Join(r.Commit("1.1.0"), os.Chmod(r.path("1.1.0", Program), 0o522)); err != nil {
			t.Fatal(err)
		}
		r.runs("packaged release 1.1.0 cannot run")
		r.begin("1.1.0")
		r.runs("1.1.0")
		want, end := "1.1.0", r.Commit
		if !works {
			want, end = "packaged <nil>", func(v string) error { return r.Reject(v, "it did not connect") }
		}
		if err := end("1.1.0"); err != nil {
			t.Fatal(err)
		}
		r.runs(want)
		if s := r.slots(); s.Previous != "" {
			t.Errorf("%+v", s)
		}
	}
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}
