package mqtt

import "slices"

// allUsable reports whether each of the texts may become part of a name.
func allUsable(texts []string) bool {
	return !slices.ContainsFunc(texts, func(s string) bool { return !usable(s) })
}

// readUsable is allUsable for what was read in a payload, where what may be missing
// need not be there.
func readUsable(texts []string) bool {
	return !slices.ContainsFunc(texts, func(s string) bool { return s != "" && !usable(s) })
}

// usable reports whether a captured text may become part of a name: 1 to 64
// printable bytes.
func usable(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
	}
	return true
}
