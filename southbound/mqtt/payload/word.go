package payload

import (
	"strings"

	"github.com/tidwall/gjson"
)

// Word returns the word that a payload is, or has at a path if it is JSON; ok is
// false if there is none.
func Word(payload []byte, path string) (word string, ok bool) {
	text := strings.TrimSpace(string(payload))
	if path == "" {
		return text, text != ""
	}
	if !gjson.Valid(text) {
		return "", false
	}
	r := gjson.Get(text, path)
	return r.String(), r.Exists() && !r.IsObject() && !r.IsArray()
}
