package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// bucket is S3 as far as a gateway sees it: addresses expire, connections break, files are
// replaced.
type bucket struct {
	data    []byte
	tag     string
	valid   string // the query of an address that is good now
	refusal int    // what another one is answered with
	code    string // and of which kind that is
	cut     int    // bytes after which a connection breaks, 0 for never

	asked  []string // ranges, "refused" for those that were not given
	given  int      // bytes
	served func()   // after each answer with bytes
}

// broken ends a connection.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (b *bucket) RoundTrip(r *http.Request) (*http.Response, error) {
	a := &http.Response{StatusCode: b.refusal, Header: http.Header{}, Request: r, Body: io.NopCloser(
		strings.NewReader("<?xml version=\"1.0\"?>\n<Error><Code>" + b.code + "</Code><Message>hushhush</Message></Error>"))}
	if r.URL.RawQuery != b.valid {
		b.asked = append(b.asked, "refused")
		return a, nil
	}
	from := 0
	_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from) // it is always there
	b.asked = append(b.asked, fmt.Sprint(from/blockSize))
	a.StatusCode = http.StatusPartialContent
	a.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(b.data)-1, len(b.data)))
	a.Header.Set("ETag", b.tag)
	rest := b.data[from:]
	var body io.Reader = strings.NewReader(string(rest))
	if b.cut > 0 && len(rest) > b.cut {
		rest = rest[:b.cut]
		body = io.MultiReader(strings.NewReader(string(rest)), broken{})
	}
	b.given += len(rest)
	if b.served != nil {
		b.served()
	}
	a.Body = io.NopCloser(body)
	return a, nil
}

// fetcher returns one that asks the bucket.
func (b *bucket) fetcher(dir string) *Fetcher {
	return New(Options{Dir: dir, Log: slog.New(slog.DiscardHandler), Client: &http.Client{Transport: b}})
}

// TestExpired: an address that has expired is replaced by a fresh one as often as it
// takes, and nothing is fetched twice; one that is refused though it is fresh is the end.
func TestExpired(t *testing.T) {
	const blocks = 10
	data, want := content(blocks * blockSize)
	for name, test := range map[string]struct {
		refusal int
		code    string
		fresh   func(b *bucket, n int) (string, error) // what is had when it is asked for the n-th time
		error   string                                 // "" is that the file comes
		asked   string
	}{
		"expires": {403, "AccessDenied", func(b *bucket, _ int) (string, error) { return "https://s3/f?" + b.valid, nil },
			"", "0 refused 4 refused 8"},
		"expired credentials": {400, "ExpiredToken",
			func(b *bucket, _ int) (string, error) { return "https://s3/f?" + b.valid, nil }, "", "0 refused 4 refused 8"},
		"is old once": {403, "AccessDenied", func(b *bucket, n int) (string, error) {
			if n == 1 {
				return "https://s3/f?old", nil
			}
			return "https://s3/f?" + b.valid, nil
		}, "", "0 refused refused 4 refused 8"},
		"never good": {403, "AccessDenied", func(*bucket, int) (string, error) { return "https://s3/f?old", nil },
			"(403 AccessDenied)", "0 refused refused refused refused"},
		"gone": {404, "NoSuchKey", func(b *bucket, _ int) (string, error) { return "https://s3/f?" + b.valid, nil },
			"(404 NoSuchKey)", "0 refused"},
		"not to be had": {403, "AccessDenied", func(*bucket, int) (string, error) { return "", errors.New("job has ended") },
			"job has ended", "0 refused"},
		"not https": {403, "", func(*bucket, int) (string, error) { return "http://s3/f", nil },
			"begins with https://", "0 refused"},
		"a stream": {403, "", func(*bucket, int) (string, error) { return "", nil },
			"begins with https://", "0 refused"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := &bucket{data: data, tag: `"a"`, valid: "1", refusal: test.refusal, code: test.code, cut: 4 * blockSize}
				b.served = func() { b.valid += "1" } // good for one request
				n := 0
				from := Source{URL: "https://s3/f?1", Fresh: func(context.Context) (Source, error) {
					n++
					url, err := test.fresh(b, n)
					return Source{URL: url}, err
				}}
				path, err := b.fetcher(dir).Fetch(t.Context(), want, from, nil)
				switch {
				case test.error == "" && err == nil:
					(&rig{T: t, o: Options{Dir: dir}}).is(path, want)
					if b.given != len(data) {
						t.Errorf("%d bytes were given of a file of %d", b.given, len(data))
					}
				case test.error == "" || err == nil || !strings.Contains(err.Error(), test.error):
					t.Errorf("%v", err)
				case strings.Contains(err.Error(), "hushhush") || strings.Contains(err.Error(), "s3/f"):
					t.Errorf("more is told than must be: %v", err)
				}
				if got := strings.Join(b.asked, " "); got != test.asked {
					t.Errorf("asked for %s, want %s", got, test.asked)
				}
			})
		})
	}
}

// TestOtherTag: when another file is at the address, nothing of the one before is kept,
// after a restart neither.
func TestOtherTag(t *testing.T) {
	const blocks = 10
	data, want := content(blocks * blockSize)
	other := make([]byte, len(data))
	for name, restart := range map[string]bool{"in one process": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := &bucket{data: other, tag: `"a"`, valid: "1", cut: 6 * blockSize}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				b.served = func() {
					b.served = nil
					if restart {
						return
					}
					b.data, b.tag, b.cut = data, `"b"`, 0
				}
				path, err := b.fetcher(dir).Fetch(ctx, want, Source{URL: "https://s3/f?1"}, func(percent int) {
					if restart && percent == 50 {
						cancel()
					}
				})
				if restart {
					if !errors.Is(err, context.Canceled) {
						t.Fatal(err)
					}
					b.data, b.tag, b.cut = data, `"b"`, 0
					path, err = b.fetcher(dir).Fetch(t.Context(), want, Source{URL: "https://s3/f?1"}, nil)
				}
				if err != nil {
					t.Fatal(err)
				}
				(&rig{T: t, o: Options{Dir: dir}}).is(path, want)
				asked, part := strings.Join(b.asked, " "), "0 6 0"
				if restart {
					part = "0 5 0"
				}
				if asked != part {
					t.Errorf("asked for %s, want %s", asked, part)
				}
			})
		})
	}
}
