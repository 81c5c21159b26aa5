package console

import (
	"compress/gzip"
	"embed"
	"fmt"
	"net/http"
	"strings"
	"time"

	"fieldbridge/console/login"
	"fieldbridge/console/page"
)

//go:embed page/page.css page/page.js page/icon.svg
var files embed.FS

// policy lets the page load its own files and ask its own gateway, and nothing else:
// no script that stands in a page runs, whatever a sensor calls itself, and a plant's
// network often has no way out.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// protect sets what browsers are told of every page and file.
func protect(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}

// serveFile answers with a file of the page.
func serveFile(name, contentType string) http.HandlerFunc {
	file, err := files.ReadFile("page/" + name)
	if err != nil {
		panic(err) // it is embedded above
	}
	return func(w http.ResponseWriter, r *http.Request) {
		protect(w, contentType)
		w.Header().Set("Cache-Control", "no-cache")
		send(w, r, http.StatusOK, file)
	}
}

// noPage answers where the build has no page.
func noPage(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "This is the small build, which leaves out the page. 'fieldbridge status' and 'fieldbridge values' "+
		"on the gateway tell the same; /status, /metrics and /healthz are here.", http.StatusNotFound)
}

// servePage answers with the page, about one device if the address names one.
func (v *View) servePage(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	ask := page.Ask{Language: page.Prefer(r.Header.Get("Accept-Language")), Find: r.FormValue("find"),
		Device: r.PathValue("name"), User: login.Visitor(r)}
	code := http.StatusOK
	state, points := v.Page()
	if ask.Device != "" {
		ask.Up = 1
		if !state.Has(ask.Device) {
			code = http.StatusNotFound
		}
	}
	text := page.Write(&state, ask, points)
	protect(w, "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Server-Timing", fmt.Sprintf("page;dur=%.1f", float64(time.Since(begin).Microseconds())/1e3))
	w.Header().Set("Vary", "Accept-Language, Accept-Encoding")
	send(w, r, code, text)
}

// leastPacked is from which size on an answer is compressed: it pays over a mobile
// link, where pages of hundreds of devices are looked at again every two seconds.
const leastPacked = 2048

// send writes an answer, compressed if the asker takes that.
func send(w http.ResponseWriter, r *http.Request, code int, data []byte) {
	if len(data) < leastPacked || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.WriteHeader(code)
		_, _ = w.Write(data) // an asker that is gone needs no answer
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(code)
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is one
	}
	_, _ = z.Write(data)
	_ = z.Close()
}
