package release

import (
	"slices"
	"strings"
	"testing"

	"fieldbridge/minisign"
)

func TestCompare(t *testing.T) {
	// In their order, the first of it from semver.org §11.
	sorted := []string{"dev", "0.9.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
		"1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1-dev.9+g0123456", "1.0.1-dev.12+gfedcba9", "1.0.1", "1.2.0", "1.10.0"}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := Compare(a, b); got != min(max(i-j, -1), 1) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
	if Compare("1.0.0+a", "1.0.0+b") != 0 || Compare("dev", "") != 0 {
		t.Error("what is not looked at makes a difference")
	}
}

func FuzzCompare(f *testing.F) {
	f.Add("1.0.0-rc.1+x", "1.0.0", "dev")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if Compare(a, b) != -Compare(b, a) || Compare(a, a) != 0 {
			t.Errorf("%q and %q have no order", a, b)
		}
		all := []string{a, b, c}
		slices.SortFunc(all, Compare)
		if Compare(all[0], all[2]) > 0 {
			t.Errorf("%q are in no order", all)
		}
		for _, v := range all {
			if isVersion(v) && (strings.ContainsAny(v, "/\x00\n") || v[0] == '.') {
				t.Errorf("%q is a version, and no name of a folder", v)
			}
		}
	})
}

func FuzzELF(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00"), "amd64")
	f.Fuzz(func(t *testing.T, head []byte, arch string) {
		if checkELF(head, arch) == nil && string(head[:4]) != "\x7fELF" {
			t.Errorf("%q runs on %s", head, arch)
		}
	})
}

func FuzzSlots(f *testing.F) {
	f.Add([]byte(`{"current":"1.0.0","trial":{"version":"1.1.0","attempts":1},"bad":[{"version":"1.0.1","why":"x"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		folder := Folder{Dir: t.TempDir(), Packaged: "1.0.0"}
		if err := replace(folder.path("slots.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := folder.Slots()
		if err == nil && s.Current != "" && !isVersion(s.Current) {
			t.Errorf("%q runs", s.Current)
		}
		// Without a release in the folder the packaged program runs, whatever it says.
		_ = folder.Launch("/nowhere", nil, nil)
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"version":"1.1.0","os":"linux","architecture":"amd64","size":1000,"sha256":"00"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := fuzzRig(t)
		signature, err := r.key.Sign(text, "")
		if err != nil {
			t.Fatal(err)
		}
		m, err := r.Roots.Read(text, signature)
		if err == nil && (!isVersion(m.Version) || m.Size > maxProgram) {
			t.Errorf("%+v is taken", m)
		}
	})
}

// fuzzRig is a key and its root, without a program.
func fuzzRig(t *testing.T) *rig {
	key, err := minisign.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	return &rig{Folder: &Folder{Roots: Roots{key.Public()}}, t: t, key: key}
}
