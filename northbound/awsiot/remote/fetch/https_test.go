package fetch

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// server gives a file at /file?secret and misbehaves elsewhere.
func server(t *testing.T, data []byte) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var given atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		given.Add(1)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	})
	mux.HandleFunc("/whole", func(w http.ResponseWriter, _ *http.Request) {
		given.Add(1)
		_, _ = w.Write(data) // a client that goes away is a part of the test
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		if given.Add(1) == 1 {
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			_, _ = w.Write(data[:blockSize+5])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	})
	mux.HandleFunc("/expired", func(w http.ResponseWriter, _ *http.Request) {
		given.Add(1)
		w.WriteHeader(http.StatusForbidden)
	})
	mux.HandleFunc("/longer", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(append(bytes.Clone(data), 'x')))
	})
	mux.HandleFunc("/other", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(bytes.ToUpper(data)))
	})
	mux.HandleFunc("/hop", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/file", http.StatusFound)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/loop", http.StatusFound)
	})
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.Host+"/file", http.StatusFound)
	})
	s := httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, &given
}

// TestAddresses: a file from an https address, or why not; the address is told to nobody.
func TestAddresses(t *testing.T) {
	data, want := content(5*blockSize + 9)
	s, _ := server(t, data)
	for path, why := range map[string]string{
		"/file": "", "/whole": "", "/hop": "",
		"/none": "(404)", "/expired": "may have expired", "/longer": "not as large", "/other": "another file came",
		"/loop": "leads elsewhere", "/plain": "leads elsewhere",
	} {
		f := New(Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Client: s.Client()})
		got, err := f.Fetch(t.Context(), want, Source{URL: s.URL + path + "?signature=word"}, nil)
		switch {
		case why == "" && err == nil:
			(&rig{T: t, o: f.o}).is(got, want)
		case why == "" || err == nil || !strings.Contains(err.Error(), why):
			t.Errorf("%s: %v", path, err)
		case strings.Contains(err.Error(), "word"):
			t.Errorf("%s: the address is told: %v", path, err)
		}
	}
	f := New(Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if p, err := openPart(t.TempDir(), want); err != nil {
		t.Error(err)
	} else if err := f.ranged(t.Context(), p, s.URL+"/file", func(int) {}); err == nil || p.left != p.blocks() {
		t.Errorf("a server of unknown roots was believed: %v", err)
	} else if err := p.close(); err != nil {
		t.Error(err)
	}
}

// TestRanges: what is there is not fetched again, by whatever it was cut.
func TestRanges(t *testing.T) {
	data, want := content(100 * blockSize)
	s, given := server(t, data)
	f := New(Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Client: s.Client()})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := -1
	_, err := f.Fetch(ctx, want, Source{URL: s.URL + "/file"}, func(percent int) {
		if percent > 50 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	path, err := f.Fetch(t.Context(), want, Source{URL: s.URL + "/file"}, func(percent int) {
		if first < 0 {
			first = percent
		}
	})
	if err != nil || first < 50 || given.Load() != 2 {
		t.Errorf("%v, went on at %d %%, %d requests", err, first, given.Load())
	} else {
		(&rig{T: t, o: f.o}).is(path, want)
	}
	given.Store(0)
	small := New(Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Client: s.Client()})
	path, err = small.Fetch(t.Context(), want, Source{URL: s.URL + "/cut"}, nil)
	if err != nil || given.Load() != 2 {
		t.Errorf("a connection that was cut: %v, %d requests", err, given.Load())
	} else {
		(&rig{T: t, o: small.o}).is(path, want)
	}
}
