package console

import (
	_ "embed"
	"net/http"
)

// The page is two files: a policy that allows no inline script keeps what comes
// from sensors from becoming one.
var (
	//go:embed page.html
	pageHTML []byte
	//go:embed page.js
	pageJS []byte
)

// servePage answers with a file of the page, which loads nothing from elsewhere:
// a plant's network often has no way out.
func servePage(contentType string, file []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; "+
			"connect-src 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		_, _ = w.Write(file)
	}
}
