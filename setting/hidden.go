package setting

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Hidden are texts that nobody is to see, each with what to show in its place, as
// ${file:password}. A nil Hidden hides nothing. After [Hidden.Ready] nothing may be
// added any more, and it is safe for concurrent use.
type Hidden struct {
	shown    map[string]string // by what is hidden
	replacer *strings.Replacer // made by Ready
}

// leastHidden is the length from which a text is looked for within others: what is
// shorter is found everywhere.
const leastHidden = 6 // bytes

// Add hides a text, and of several lines each.
func (h *Hidden) Add(text, shown string) {
	if h.shown == nil {
		h.shown = make(map[string]string)
	}
	shown = strings.NewReplacer(`"`, "'", `\`, "/").Replace(shown) // it may come to stand in JSON
	for part := range strings.Lines(text) {
		if part = strings.TrimSpace(part); isHidden(part) {
			h.shown[part] = shown
		}
	}
	if isHidden(text) {
		h.shown[text] = shown
		// As log and JSON write it.
		h.shown[strings.Trim(fmt.Sprintf("%q", text), `"`)] = shown
	}
}

// isHidden reports whether a text is long enough to be looked for. Short numbers
// are none that anybody would hide, and are everywhere.
func isHidden(text string) bool {
	return len(text) >= leastHidden && (len(text) > 9 || strings.Trim(text, "-.0123456789") != "")
}

// Remove shows a text that was hidden.
func (h *Hidden) Remove(text string) {
	delete(h.shown, text)
	delete(h.shown, strings.TrimSpace(text))
}

// Ready returns h, of which nothing is changed any more.
func (h *Hidden) Ready() *Hidden {
	pairs := make([]string, 0, 2*len(h.shown))
	texts := make([]string, 0, len(h.shown))
	for text := range h.shown {
		texts = append(texts, text)
	}
	// Of two that begin at one place the longer is hidden.
	slices.SortFunc(texts, func(a, b string) int { return len(b) - len(a) })
	for _, text := range texts {
		pairs = append(pairs, text, h.shown[text])
	}
	h.replacer = strings.NewReplacer(pairs...)
	return h
}

// With returns what hides what h and other hide.
func (h *Hidden) With(other *Hidden) *Hidden {
	both := new(Hidden)
	for _, one := range []*Hidden{other, h} {
		if one == nil {
			continue
		}
		for text, shown := range one.shown {
			if both.shown == nil {
				both.shown = make(map[string]string)
			}
			both.shown[text] = shown
		}
	}
	return both.Ready()
}

// In returns a text as it may be shown.
func (h *Hidden) In(text string) string {
	if h == nil || len(h.shown) == 0 {
		return text
	}
	return h.replacer.Replace(text)
}

// Error returns an error whose text may be shown, and which is what err is.
func (h *Hidden) Error(err error) error {
	if err == nil || h.In(err.Error()) == err.Error() {
		return err
	}
	return hiddenError{err, h.In(err.Error())}
}

type hiddenError struct {
	error
	text string
}

func (e hiddenError) Error() string { return e.text }
func (e hiddenError) Unwrap() error { return e.error }

// Writer returns a writer that shows on w what may be shown. A text must come in
// one call.
func (h *Hidden) Writer(w io.Writer) io.Writer { return hidingWriter{h, w} }

type hidingWriter struct {
	h *Hidden
	w io.Writer
}

func (w hidingWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.w, w.h.In(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

var userinfo = regexp.MustCompile(`(://)([^\s"']*:[^\s"']*)@`)

// MaskUserinfo returns a text without user name and password of the URL in it.
func MaskUserinfo(text string) string { return userinfo.ReplaceAllString(text, "$1***@") }

// AddUserinfo hides user name and password of a URL.
func (h *Hidden) AddUserinfo(text string) {
	m := userinfo.FindStringSubmatch(text)
	if m == nil {
		return
	}
	h.Add(m[2]+"@", "***@")
	_, password, _ := strings.Cut(m[2], ":")
	h.Add(password, "***")
}
