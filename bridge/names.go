package bridge

import "strings"

// ValidDevice reports whether s may name a device: 1 to 64 letters, digits,
// '.', '_' or '-'.
func ValidDevice(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if !alphanumeric(s[i]) && s[i] != '.' && s[i] != '_' && s[i] != '-' {
			return false
		}
	}
	return true
}

// ValidPoint reports whether s may name a point: [a-z][a-z0-9_]*, at most 64
// bytes.
func ValidPoint(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// PointName makes a point name of what a topic or payload calls a value:
// lower-cased, anything else becomes '_', "p_" before a name that does not begin
// with a letter, at most 64 bytes.
func PointName(s string) string {
	if ValidPoint(s) {
		return s
	}
	b := make([]byte, 0, len(s)+2)
	for _, c := range []byte(strings.ToLower(s)) {
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			c = '_'
		}
		b = append(b, c)
	}
	if len(b) == 0 || b[0] < 'a' || b[0] > 'z' {
		b = append([]byte("p_"), b...)
	}
	return string(b[:min(len(b), 64)])
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
