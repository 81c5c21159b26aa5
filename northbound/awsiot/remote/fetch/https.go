package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"fieldbridge/pause"
)

const (
	// quietBody is how long a server may say nothing.
	quietBody = time.Minute
	// mostHops is how often an address may lead to another.
	mostHops = 3
	// mostFresh is how often in a row a new address may be refused as the one before.
	mostFresh = 3
	// maxRefusal is how much is read of why a server does not give a file, in bytes.
	maxRefusal = 4 << 10
)

// errReplaced is that the server has another file than the one whose parts are there.
var errReplaced = errors.New("the file on the server was replaced: it is fetched from its start")

// codeOf finds the code in what S3 says when it refuses ("REST error responses").
var codeOf = regexp.MustCompile(`<Code>([A-Za-z]+)</Code>`)

func allowedURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return fmt.Errorf("%w: its URL begins with https:// and has no password", ErrRefused)
	}
	return nil
}

// statusError is an answer without the file.
type statusError struct {
	status int
	code   string // of S3, "" for none
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("the server does not give the file (%d", e.status)
	if e.code != "" {
		text += " " + e.code
	}
	if e.expired() {
		return text + "): its address may have expired, or who made it may not read the file"
	}
	return text + ")"
}

// expired reports whether a fresh address may help: S3 answers 403 when the address has
// expired, and 400 when the credentials have that it was made with (ExpiredToken).
func (e *statusError) expired() bool {
	switch e.status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return true
	}
	return false
}

// refused reads why a server does not give the file.
func refused(response *http.Response) error {
	e := &statusError{status: response.StatusCode}
	said, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal)) // what is not read is not told
	if m := codeOf.FindSubmatch(said); m != nil && len(m[1]) <= 64 {
		e.code = string(m[1])
	}
	return e
}

// download fetches what misses from an address, and from a fresh one when it has expired.
// The address is a secret of some minutes: it is neither logged nor told.
func (f *Fetcher) download(ctx context.Context, p *part, from Source, progress func(int)) error {
	retry := pause.Growing{Least: time.Second, Most: time.Minute}
	fresh := 0
	for idle := 0; p.left > 0; {
		before := p.left
		err := f.ranged(ctx, p, from.URL, progress)
		if p.left < before {
			idle, fresh = 0, 0
			retry.Reset()
		}
		var status *statusError
		switch {
		case err == nil:
			continue
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &status) && status.expired() && from.Fresh != nil && fresh < mostFresh:
			if fresh++; fresh > 1 { // the last one was fresh: the server may need a moment
				pause.Sleep(ctx, retry.Next())
			}
			if from.URL, err = freshURL(ctx, from); err != nil {
				return err
			}
			f.o.Log.Info("the address of the file has expired: another one is used", "left", p.left)
			continue
		case errors.Is(err, ErrRefused), errors.Is(err, ErrWrong), status != nil && status.status < 500:
			return err
		}
		if idle++; idle >= tries {
			return fmt.Errorf("nothing came in %d tries: %w", tries, err)
		}
		f.o.Log.Info("the file is asked for again", "err", err, "left", p.left)
		pause.Sleep(ctx, retry.Next())
	}
	return nil
}

// freshURL asks for an address that has not expired.
func freshURL(ctx context.Context, from Source) (string, error) {
	now, err := from.Fresh(ctx)
	if err != nil {
		return "", fmt.Errorf("the address of the file has expired, and another one is not to be had: %w", err)
	}
	return now.URL, allowedURL(now.URL)
}

// ranged fetches from the first block that misses to the end, as far as it comes.
func (f *Fetcher) ranged(ctx context.Context, p *part, address string, progress func(int)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(quietBody, func() { cancel(errors.New("the server says nothing")) })
	defer quiet.Stop()
	first := 0
	for p.has(first) {
		first++
	}
	offset := int64(first) * blockSize
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return ErrRefused
	}
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	request.Header.Set("Accept-Encoding", "identity")
	response, err := f.client().Do(request)
	if err != nil {
		return bare(ctx, err)
	}
	defer func() { _ = response.Body.Close() }() // all that counts was read
	begins := fmt.Sprintf("bytes %d-%d/%d", offset, p.want.Size-1, p.want.Size)
	switch {
	case response.StatusCode == http.StatusOK && (response.ContentLength < 0 || response.ContentLength == p.want.Size):
		first = 0 // it does not know ranges
	case response.StatusCode == http.StatusPartialContent && response.Header.Get("Content-Range") == begins:
	case response.StatusCode == http.StatusOK || response.StatusCode == http.StatusPartialContent:
		return fmt.Errorf("%w: the server's is not as large as the one that was signed", ErrWrong)
	default:
		return refused(response)
	}
	if replaced, err := p.tagged(response.Header.Get("ETag")); err != nil {
		return err
	} else if replaced && first > 0 {
		return errReplaced
	}
	block := make([]byte, blockSize)
	for i := first; i < p.blocks(); i++ {
		begun := time.Now()
		b := block[:p.length(i)]
		if _, err := io.ReadFull(response.Body, b); err != nil {
			return bare(ctx, err)
		}
		took := time.Since(begun)
		if _, err := p.put(i, b); err != nil {
			return err
		}
		progress(p.percent())
		quiet.Stop() // what we wait for is not the server
		if err := f.pace(ctx, len(b), took); err != nil {
			return err
		}
		quiet.Reset(quietBody)
	}
	return nil
}

// client returns one that leaves https for nothing.
func (f *Fetcher) client() *http.Client {
	c := http.Client{}
	if f.o.Client != nil {
		c = *f.o.Client
	}
	c.Jar = nil
	c.CheckRedirect = func(to *http.Request, via []*http.Request) error {
		if len(via) > mostHops || allowedURL(to.URL.String()) != nil {
			return fmt.Errorf("%w: its address leads elsewhere", ErrRefused)
		}
		return nil
	}
	return &c
}

// bare takes the address out of an error.
func bare(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if strings.Contains(err.Error(), "https://") {
		return errors.New("the server cannot be asked")
	}
	return err
}
