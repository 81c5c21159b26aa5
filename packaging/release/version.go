package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// first is the version of the first release, which builds before it lead to.
const first = "0.1.0"

// described is what 'git describe --tags --long --always --dirty' says: a tag, how
// many commits since, and the commit; or the commit alone where there is no tag.
var described = regexp.MustCompile(`^(?:v(\d+\.\d+)\.(\d+)-(\d+)-g)?([0-9a-f]{7,40})(-dirty)?$`)

// semver returns the version of a build, given how many commits there are in all. A
// tag's own is the tag. One after it leads to the next patch, as 0.1.1-dev.12+g0123456:
// by the rules of semantic versions, and of all packages as packaged writes it, it
// sorts after the tag, after builds with fewer commits, and before each later tag.
func semver(text, commits string) (string, error) {
	m := described.FindStringSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%q is not what 'git describe --tags --long --always --dirty' says", text)
	}
	minor, patch, since, commit, dirty := m[1], m[2], m[3], m[4], m[5] != ""
	next := first
	switch {
	case minor == "":
		since = commits
	case since == "0" && !dirty:
		return minor + "." + patch, nil
	default:
		n, err := strconv.Atoi(patch)
		if err != nil {
			return "", err
		}
		next = fmt.Sprintf("%s.%d", minor, n+1)
	}
	version := next + "-dev." + since + "+g" + commit
	if dirty {
		version += ".dirty"
	}
	return version, nil
}

// packaged returns a semantic version as a kind of package writes it: what leads to a
// release sorts before it by a tilde, in Alpine by _pre; Alpine knows no word of the
// commit.
func packaged(version, kind string) string {
	if kind != "apk" {
		return strings.Replace(version, "-", "~", 1)
	}
	version, _, _ = strings.Cut(version, "+")
	return strings.Replace(version, "-dev.", "_pre", 1)
}
