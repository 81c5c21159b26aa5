package main

import (
	"os/exec"
	"testing"

	"fieldbridge/needtest"
)

func TestSemver(t *testing.T) {
	for _, tt := range []struct{ described, want string }{
		{"v0.1.0-0-g0123456", "0.1.0"},
		{"v0.1.0-0-g0123456-dirty", "0.1.1-dev.0+g0123456.dirty"},
		{"v0.1.0-12-g0123456", "0.1.1-dev.12+g0123456"},
		{"v1.2.9-12-g0123456", "1.2.10-dev.12+g0123456"},
		{"0123456", "0.1.0-dev.7+g0123456"},
		{"0123456-dirty", "0.1.0-dev.7+g0123456.dirty"},
		{"v0.1-3-g0123456", ""},
		{"v0.1.99999999999999999999-3-g0123456", ""},
		{"", ""},
	} {
		got, err := semver(tt.described, "7")
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v; want %q", tt.described, got, err, tt.want)
		}
	}
}

// TestOrder asks each system of packages whether it takes a later build for later.
func TestOrder(t *testing.T) {
	older := map[string]func(t *testing.T, a, b string) bool{
		"deb": func(t *testing.T, a, b string) bool {
			return exec.Command(needtest.Program(t, "dpkg"), "--compare-versions", a, "lt", b).Run() == nil
		},
		"rpm": func(t *testing.T, a, b string) bool {
			out, err := exec.Command(needtest.Program(t, "rpm"), "--eval", `%{lua:print(rpm.vercmp("`+a+`", "`+b+`"))}`).Output()
			if err != nil {
				t.Fatal(err)
			}
			return string(out) == "-1\n"
		},
	}
	var versions []string
	for _, text := range []string{"0123456", "v0.1.0-0-gabcdef0", "v0.1.0-0-gabcdef0-dirty", "v0.1.0-9-gfffffff",
		"v0.1.0-10-g0000000", "v0.1.1-0-g0123456", "v0.1.1-1-g0123456", "v0.1.10-0-g0123456", "v0.2.0-0-g0123456"} {
		v, err := semver(text, "716")
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, v)
	}
	for kind, less := range older {
		t.Run(kind, func(t *testing.T) {
			for i := range versions[1:] {
				a, b := packaged(versions[i], kind), packaged(versions[i+1], kind)
				if !less(t, a, b) || less(t, b, a) {
					t.Errorf("%s is not older than %s", a, b)
				}
			}
		})
	}
}

// TestAlpine holds what no program here can compare: _pre and a number sort below
// their absence in Alpine's order.
func TestAlpine(t *testing.T) {
	for version, want := range map[string]string{"0.1.0": "0.1.0", "0.1.1-dev.12+g0123456.dirty": "0.1.1_pre12"} {
		if got := packaged(version, "apk"); got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
}
