package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fieldbridge/console"
	"fieldbridge/setting"
	"fieldbridge/store/folder"
	"fieldbridge/store/terms"
)

// serve serves mux on the socket in dir until the test ends.
func serve(t *testing.T, dir string, mux *http.ServeMux) {
	t.Helper()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); console.ServeOn(ctx, l, mux) }()
	t.Cleanup(func() { cancel(); <-ended })
}

func TestPage(t *testing.T) {
	dir, mux := t.TempDir(), http.NewServeMux()
	var asked []Relay
	RelayPage.Handle(mux, func(_ context.Context, r Relay) ([]byte, error) {
		asked = append(asked, r)
		if r.Bus == "" {
			return nil, errors.New("no bus is named")
		}
		return []byte{r.PDU[0], 2, 0, 7}, nil
	})
	if _, err := RelayPage.Ask(t.Context(), dir, Relay{}); !errors.Is(err, ErrNotRunning) {
		t.Errorf("before it runs: %v", err)
	}
	serve(t, dir, mux)
	sent := Relay{Bus: "plc", Unit: 255, PDU: []byte{4, 0, 0, 0, 1}}
	if answer, err := RelayPage.Ask(t.Context(), dir, sent); err != nil || !bytes.Equal(answer, []byte{4, 2, 0, 7}) {
		t.Errorf("%v, %v", answer, err)
	}
	if diff := cmp.Diff([]Relay{sent}, asked); diff != "" {
		t.Error(diff)
	}
	if _, err := RelayPage.Ask(t.Context(), dir, Relay{}); err == nil ||
		err.Error() != "no bus is named" {
		t.Errorf("refused: %v", err)
	}
}

// What the gateway refuses is told in its words alone, and what is not its own in ours.
func TestRefusal(t *testing.T) {
	dir, mux := t.TempDir(), http.NewServeMux()
	mux.HandleFunc("GET /no", func(w http.ResponseWriter,
		_ *http.Request) {
		http.Error(w, "too many look", http.StatusServiceUnavailable)
	})
	mux.HandleFunc("GET /mute", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	serve(t, dir, mux)
	for page, want := range map[string]string{"/no": "too many look", "/mute": "its log may",
		"/newer": "does not know this request"} {
		_, err := Get(t.Context(), dir, page)
		if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "0123456789") {
			t.Errorf("%s: %v, want %q", page, err, want)
		}
	}
	if _, err := RelayPage.Ask(t.Context(), dir, Relay{}); !errors.Is(err, errUnknown) {
		t.Errorf("%v", err)
	}
}

// What comes over the socket is checked.
func TestPageRefuses(t *testing.T) {
	mux := http.NewServeMux()
	RelayPage.Handle(mux, func(context.Context, Relay) ([]byte, error) { t.Error("asked"); return nil, nil })
	for _, body := range []string{"", `{"pdu":"x"}`, `{"unit":256}`, `{"unit":"a"}`, `[]`} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("POST", "/modbus", strings.NewReader(body)))
		if w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d, want 400", body, w.Code)
		}
	}
	w := httptest.NewRecorder()
	if mux.ServeHTTP(w, httptest.NewRequest("GET", "/modbus", nil)); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", w.Code)
	}
	if _, err := Turn("of").Do(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "neither off nor on") {
		t.Errorf("a word that is not a turn: %v", err)
	}
}

// A request is on the other side what it was on this one.
func TestQueueRequestAsJSON(t *testing.T) {
	at := time.Date(2026, 11, 23, 8, 0, 0, 123, time.UTC)
	for _, r := range []Queue{{Op: Inspect}, {Op: DeadList, Limit: 7},
		{Op: Export, Format: "csv", Filter: folder.Filter{Since: at, Until: at.Add(time.Hour), Device: "a b&c"}},
		{Op: Forget, Exported: folder.Exported{Run: "3k7q9x2m", Ranges: []folder.Range{{From: 1, To: 1 << 60}}, Unread: 2}}} {
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var got Queue
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Errorf("%s: %s", data, diff)
		}
	}
}

// An answer that breaks off, or ends with an error, does not count.
func TestQueueAnswerBreaksOff(t *testing.T) {
	for answer, want := range map[string]string{
		"":                                   "breaks off",
		`{"data":"YQ=="}`:                    "breaks off",
		`{"data":"YQ=="}{"end":tr`:           "breaks off",
		`{"end":true,"error":"disk broken"}`: "disk broken",
	} {
		dir, mux := t.TempDir(), http.NewServeMux()
		mux.HandleFunc("POST /queue", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })
		serve(t, dir, mux)
		at := At{Store: terms.Config{Dir: setting.Path(dir)}}
		if _, err := at.Do(t.Context(), Queue{Op: Export}, io.Discard, io.Discard); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", answer, err, want)
		}
	}
}
