package payload

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// Words are one word or a list of them.
type Words []string

// UnmarshalText reads one word.
func (w *Words) UnmarshalText(text []byte) error {
	*w = Words{string(text)}
	return nil
}

// Has reports whether a text is one of the words, in any case.
func (w Words) Has(text string) bool {
	return slices.ContainsFunc(w, func(word string) bool { return strings.EqualFold(word, text) })
}

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
