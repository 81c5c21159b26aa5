package release

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
)

// versions are those of https://semver.org: they name folders, too.
var versions = regexp.MustCompile(`^\d{1,9}\.\d{1,9}\.\d{1,9}(-[0-9A-Za-z]+([.-][0-9A-Za-z]+)*)?` +
	`(\+[0-9A-Za-z]+([.-][0-9A-Za-z]+)*)?$`)

// maxVersion is how many bytes a version may have.
const maxVersion = 100

// isVersion reports whether v is a version of a release.
func isVersion(v string) bool { return len(v) <= maxVersion && versions.MatchString(v) }

// Compare orders two versions as semver.org §11 does: what leads to a release comes
// before it, and what stands behind + is not looked at. What is no version, as "dev",
// comes before all that are.
func Compare(a, b string) int {
	if !isVersion(a) || !isVersion(b) {
		return cmp.Compare(rank(a), rank(b))
	}
	a, _, _ = strings.Cut(a, "+")
	b, _, _ = strings.Cut(b, "+")
	aCore, aLeads, aIs := strings.Cut(a, "-")
	bCore, bLeads, bIs := strings.Cut(b, "-")
	c := compareParts(aCore, bCore)
	switch {
	case c != 0:
		return c
	case aIs && bIs:
		return compareParts(aLeads, bLeads)
	case aIs:
		return -1
	case bIs:
		return 1
	}
	return 0
}

func rank(v string) int {
	if isVersion(v) {
		return 1
	}
	return 0
}

// compareParts compares what dots part: numbers as numbers and before words, and the
// shorter first where all else is the same.
func compareParts(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		an, aErr := strconv.ParseUint(as[i], 10, 64)
		bn, bErr := strconv.ParseUint(bs[i], 10, 64)
		c := 0
		switch {
		case aErr == nil && bErr == nil:
			c = cmp.Compare(an, bn)
		case aErr == nil:
			c = -1
		case bErr == nil:
			c = 1
		default:
			c = strings.Compare(as[i], bs[i])
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(as), len(bs))
}
