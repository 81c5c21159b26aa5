package fetch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/uplink"
	"fieldbridge/pause"
)

const (
	// maxStream is the largest file of a stream, in bytes (AWS quotas, "file streams").
	maxStream = 24 << 20
	// maxBytes is the largest file from elsewhere.
	maxBytes = 64 << 20
	// within is how long a file may take.
	within = 24 * time.Hour
	// tries is how often in a row nothing may come.
	tries = 20
	// holdFor is how long a request waits until it looks again whether readings do.
	holdFor = 100 * time.Millisecond
)

// Errors that a caller may tell apart; another may go well another time.
var (
	// ErrRefused is of what can never be fetched.
	ErrRefused = errors.New("the file is not fetched")
	// ErrWrong is that another file came than was signed.
	ErrWrong = errors.New("another file came")
)

// How long each is, is looked at apart: a pattern that counts is made of many pieces,
// which stay in memory.
var (
	validSum    = regexp.MustCompile(`^[0-9a-f]+$`)
	validStream = regexp.MustCompile(`^[0-9A-Za-z_-]+$`)
)

const (
	lenSum  = 64
	lenName = 128 // of a stream, at most
)

// File is what is to come, as it was signed.
type File struct {
	SHA256 string `json:"sha256"` // 64 hexadecimal digits
	Size   int64  `json:"size"`   // bytes
}

// Source is where it comes from, which nobody need have signed: a file of a stream, or
// an https address.
type Source struct {
	Stream string `json:"stream,omitempty"`
	File   int    `json:"file,omitempty"` // 0 to 255
	URL    string `json:"url,omitempty"`
	// Fresh returns where it comes from now, when the URL has expired; nil is that
	// nobody knows. It may wait, until ctx ends.
	Fresh func(ctx context.Context) (Source, error) `json:"-"`
}

// Session is what is needed of a session with the cloud; [uplink.Session] has it.
type Session interface {
	Send(m *bridge.Message, correlation []byte, done func(error))
	SubscribeLossy(ctx context.Context, topics ...string) error
	Unsubscribe(ctx context.Context, topics ...string) error
	HandleBelow(prefix string, f func(uplink.Inbound))
}

// Options is what a [Fetcher] needs.
type Options struct {
	Thing string // its thing's name
	Dir   string // where files are kept, for their owner alone; it is made
	// Rate is the most bytes per second of the uplink; a file gets half of it.
	Rate float64
	// Busy reports whether fresh readings wait. It must not block.
	Busy func() bool
	// Free returns how many bytes the disk of Dir has left that may be taken.
	Free func() (int64, error)
	// Client fetches from https addresses. Nil is one of the system's roots.
	Client *http.Client
	Log    *slog.Logger
}

// Fetcher brings files. It is safe for concurrent use.
type Fetcher struct {
	o    Options
	turn chan struct{} // holds a value while a file is fetched

	mu   sync.Mutex
	now  *connection   // guarded by mu; nil without one
	came chan struct{} // guarded by mu; closed when a connection comes
}

type connection struct {
	Session
	ended <-chan struct{}
}

// New returns a fetcher.
func New(o Options) *Fetcher {
	return &Fetcher{o: o, turn: make(chan struct{}, 1), came: make(chan struct{})}
}

// Serve lends a connection until ctx ends, which is at the latest when the session
// does. There is one at a time.
func (f *Fetcher) Serve(ctx context.Context, s Session) {
	f.mu.Lock()
	f.now = &connection{s, ctx.Done()}
	close(f.came)
	f.came = make(chan struct{})
	f.mu.Unlock()
	<-ctx.Done()
	f.mu.Lock()
	f.now = nil
	f.mu.Unlock()
}

// connected returns the connection, when there is one.
func (f *Fetcher) connected(ctx context.Context) (*connection, error) {
	for {
		f.mu.Lock()
		c, came := f.now, f.came
		f.mu.Unlock()
		if c != nil {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-came:
		}
	}
}

// Fetch returns the path of a file that is whole, on disk and right; it is the caller's
// then. It goes on with what is there from before, waits for connections and tries
// again what may work. progress, which may be nil, is told how much is there, in
// percent. When ctx ends, what is there is kept for the next time.
func (f *Fetcher) Fetch(ctx context.Context, want File, from Source, progress func(percent int)) (string, error) {
	if err := want.allowed(from); err != nil {
		return "", err
	}
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("the file took longer than %s", within))
	defer cancel()
	if err := os.MkdirAll(f.o.Dir, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(f.o.Dir, want.SHA256)
	if whole, err := os.Open(path); err == nil {
		err = want.check(whole)
		if errors.Join(err, whole.Close()) == nil {
			return path, nil
		}
		_ = os.Remove(path) // it is made anew
	}
	p, err := openPart(f.o.Dir, want)
	if err != nil {
		return "", err
	}
	err = f.bring(ctx, p, from, progress)
	return path, errors.Join(err, p.close())
}

// bring fetches what misses and checks the whole. If part of it was there from before,
// that may be what is wrong: then all is fetched, once.
func (f *Fetcher) bring(ctx context.Context, p *part, from Source, progress func(int)) error {
	if progress == nil {
		progress = func(int) {}
	}
	for {
		if err := f.room(p); err != nil {
			return err
		}
		again := p.again
		var err error
		if from.URL != "" {
			err = f.download(ctx, p, from, progress)
		} else {
			err = f.stream(ctx, p, from, progress)
		}
		if err != nil {
			return err
		}
		err = p.finish()
		if !errors.Is(err, ErrWrong) {
			return err
		}
		if err := errors.Join(err, p.forget()); !again {
			return err
		}
		f.o.Log.Warn("a file that was fetched in pieces is not right: it is fetched again", "sha256", p.want.SHA256)
	}
}

// room makes sure of what misses, and as much again for what is made of it.
func (f *Fetcher) room(p *part) error {
	if f.o.Free == nil {
		return nil
	}
	free, err := f.o.Free()
	if need := int64(p.left)*blockSize + p.want.Size; err == nil && free < need {
		err = fmt.Errorf("the disk of %s has %d bytes left, and %d are needed", f.o.Dir, free, need)
	}
	return err
}

func (w File) allowed(from Source) error {
	most := int64(maxBytes)
	if from.URL == "" {
		most = maxStream
	}
	switch {
	case len(w.SHA256) != lenSum || !validSum.MatchString(w.SHA256):
		return fmt.Errorf("%w: sha256 has 64 hexadecimal digits", ErrRefused)
	case w.Size < 1 || w.Size > most:
		return fmt.Errorf("%w: it has %d bytes: 1 to %d are allowed", ErrRefused, w.Size, most)
	case from.URL != "":
		return allowedURL(from.URL)
	case len(from.Stream) > lenName || !validStream.MatchString(from.Stream) || from.File < 0 || from.File > 255:
		return fmt.Errorf("%w: neither a stream nor a URL is named", ErrRefused)
	}
	return nil
}

// pace waits after bytes that took a time: as long again, so that the link is ours for
// half of the time, and as long as half of the uplink's rate needs; then until no fresh
// reading waits.
func (f *Fetcher) pace(ctx context.Context, bytes int, took time.Duration) error {
	wait := took
	if f.o.Rate > 0 {
		wait = max(wait, time.Duration(float64(bytes)/(f.o.Rate/2)*float64(time.Second))-took)
	}
	pause.Sleep(ctx, wait)
	for f.o.Busy != nil && f.o.Busy() && pause.Sleep(ctx, holdFor) {
	}
	return context.Cause(ctx)
}
