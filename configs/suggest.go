package configs

import (
	"slices"
	"strings"
)

// otherWords are what other programs and manuals call our keys.
var otherWords = map[string][]string{
	"address":        {"url", "listen", "holding", "unit_id", "endpoint"},
	"broker_url":     {"url"},
	"byte_order":     {"order"},
	"cert":           {"certificate"},
	"cert_file":      {"certificate"},
	"cafile":         {"ca"},
	"ca_file":        {"ca"},
	"clientid":       {"client_id"},
	"data_type":      {"type"},
	"datatype":       {"type"},
	"directory":      {"dir"},
	"factor":         {"scale"},
	"file":           {"path"},
	"host":           {"url", "listen", "endpoint"},
	"interval":       {"every"},
	"key":            {"private_key", "path"},
	"key_file":       {"private_key"},
	"lvl":            {"level"},
	"keepalive":      {"keep_alive"},
	"multiplier":     {"scale"},
	"password":       {"password_file"},
	"path":           {"dir", "url"},
	"period":         {"every"},
	"poll":           {"every"},
	"poll_interval":  {"every"},
	"port":           {"url", "listen", "endpoint"},
	"registers":      {"points"},
	"scan_rate":      {"every"},
	"server":         {"url", "endpoint"},
	"slave":          {"unit_id"},
	"slave_id":       {"unit_id"},
	"station":        {"unit_id"},
	"tags":           {"points"},
	"unit":           {"unit_id"},
	"units":          {"unit"},
	"user":           {"username"},
	"word_order":     {"order"},
	"input_register": {"input"},
	"register":       {"holding"},
}

// suggestKey returns the key that was probably meant, or "".
func suggestKey(given string, fields []field) string {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	for _, word := range otherWords[strings.ToLower(strings.ReplaceAll(given, "-", "_"))] {
		if slices.Contains(keys, word) {
			return word
		}
	}
	return suggest(given, keys)
}

// suggest returns the candidate nearest to given, or "" if none is near: one
// slip of the finger for every three letters.
func suggest(given string, candidates []string) string {
	best, bestDistance := "", max(1, (len(given)+1)/3)
	for _, c := range candidates {
		if plainKey(c) == plainKey(given) {
			return c
		}
		n := distance(given, c)
		if min(len(given), len(c)) >= 3 && (strings.HasPrefix(given, c) || strings.HasPrefix(c, given)) {
			n = min(n, bestDistance)
		}
		if n < len(given) && (n < bestDistance || n == bestDistance && best == "") {
			best, bestDistance = c, n
		}
	}
	return best
}

// plainKey drops what people write differently: unitId, unit-id, UNIT_ID.
func plainKey(key string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "", " ", "").Replace(key))
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
