package console

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/console/page"
)

// paged is a view of a gateway with one device.
func paged() *View {
	return &View{Page: func() (page.State, func(string) []page.Point) {
		return page.State{Gateway: "g-1", Version: "v1", Now: time.Now(), Started: time.Now(),
				Devices: []page.Device{{DeviceStatus: bridge.DeviceStatus{Device: "boiler", Good: 1}}}},
			func(string) []page.Point { return []page.Point{{Name: "temp", Text: "71.5", Unit: "°C"}} }
	}}
}

// Each page and file is there, may load only what is the gateway's own, and has no
// script of its own.
func TestPage(t *testing.T) {
	h := paged().Handler()
	for path, want := range map[string]string{
		"/": `<script src="page.js"`, "/?find=boi": ">boiler<", "/device/boiler": `<script src="../page.js"`,
		"/page.js": "DOMParser", "/page.css": "--back", "/icon.svg": "<svg",
	} {
		w := get(t, h, "GET", path)
		body := w.Body.String()
		if w.Code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, no %q", path, w.Code, want)
		}
		if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy,
			"default-src 'none'; script-src 'self'; style-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		for _, wrong := range []string{"innerHTML", "insertAdjacent", "document.write", "https:", "onclick", "style=",
			"eval(", "<script>", "<style"} {
			if strings.Contains(body, wrong) {
				t.Errorf("%s uses %s", path, wrong)
			}
		}
	}
	// page.js looks again as often as this says that it may.
	made := get(t, h, "GET", "/").Header().Get("Server-Timing")
	if !regexp.MustCompile(`^page;dur=\d+\.\d$`).MatchString(made) {
		t.Errorf("Server-Timing: %q", made)
	}
	for path, code := range map[string]int{"/other": 404, "/device/none": 404, "/device/": 404} {
		if w := get(t, h, "GET", path); w.Code != code {
			t.Errorf("%s: %d, want %d", path, w.Code, code)
		}
	}
}

func TestPageIsCompressed(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Encoding", "br, gzip")
	r.Header.Set("Accept-Language", "de-AT,de;q=0.9,en;q=0.8")
	w := httptest.NewRecorder()
	paged().Handler().ServeHTTP(w, r)
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil || !strings.Contains(string(text), "Alles in Ordnung") {
		t.Errorf("%v: %s", err, text)
	}
}
