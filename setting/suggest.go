package setting

import (
	"fmt"
	"slices"
	"strings"
)

// Suggest returns the candidate that was probably meant by given, or "" if none
// is near: one slip of the finger for every three letters. Letters differ in
// case and in the signs between words without being a slip: unitId is unit_id.
func Suggest(given string, candidates []string) string {
	best, least := "", max(1, (len(given)+1)/3)
	for _, c := range candidates {
		if plainWord(c) == plainWord(given) {
			return c
		}
		n := distance(given, c)
		if min(len(given), len(c)) >= 3 && (strings.HasPrefix(given, c) || strings.HasPrefix(c, given)) {
			n = min(n, least)
		}
		if n < len(given) && (n < least || n == least && best == "") {
			best, least = c, n
		}
	}
	return best
}

// Meant is a fix: to write what was probably meant by given, or otherwise.
func Meant(given string, candidates []string, otherwise string) string {
	if near := Suggest(given, candidates); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return otherwise
}

// Choice lists names for a person who gave another: lead, then the first ten of
// them in alphabetical order.
func Choice(lead string, names []string) string {
	const most = 10
	if len(names) == 0 {
		return lead + " none"
	}
	names = slices.Sorted(slices.Values(names))
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s %s and %d more", lead, strings.Join(names[:most], ", "), more)
	}
	return lead + " " + strings.Join(names, ", ")
}

// plainWord drops what people write differently: unitId, unit-id, UNIT_ID.
func plainWord(word string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "", " ", "").Replace(word))
}

// distance counts the letters to insert, remove, change or swap to make b of a
// (optimal string alignment).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	var rows [3][65]int
	before, last, row := rows[0][:], rows[1][:], rows[2][:]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
