// Package control is how a second process talks to a running gateway: what it
// asks, what it is answered, and the way between them, HTTP over a Unix socket in
// the queue directory, for its owner alone. Both sides share the types of a
// request and its answer, so that neither spells them again.
package control

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"fieldbridge/plain"
)

// Socket is the name of the socket in the queue directory.
const Socket = "control.sock"

// A socket's path has at most 107 bytes (unix(7)); longer ones are reached by
// way of the directory's descriptor.
const maxSocketPath = 107

// Listen listens in dir, a queue directory. The queue's lock says that no other
// gateway uses the directory, so a socket found there is a dead one. Where none can be
// made, as on a disk that is read-only or full, it listens in the runtime directory.
func Listen(dir string) (net.Listener, error) {
	l, err := listenIn(dir)
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return l, err
	}
	for _, path := range elsewhere(dir) {
		if c, e := net.Dial("unix", path); e == nil {
			_ = c.Close() // without a disk there is no lock either
			return nil, fmt.Errorf("%w, and another gateway of this folder runs", err)
		}
		_ = os.MkdirAll(filepath.Dir(path), 0o700)
		_ = os.Remove(path)
		if there, e := listenAt(path); e == nil {
			return there, nil
		}
	}
	return nil, err
}

// elsewhere returns where the socket of a queue directory may be that cannot have it:
// in the runtime directories that a unit, root and a user have.
func elsewhere(dir string) (paths []string) {
	whole, err := filepath.Abs(dir)
	if err != nil {
		return nil
	}
	if real, err := filepath.EvalSymlinks(whole); err == nil {
		whole = real
	}
	sum := sha256.Sum256([]byte(whole))
	name := fmt.Sprintf("control-%x.sock", sum[:8])
	unit, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":")
	for _, root := range []string{unit, "/run/fieldbridge", os.Getenv("XDG_RUNTIME_DIR")} {
		if root != "" {
			paths = append(paths, filepath.Join(root, name))
		}
	}
	return paths
}

func listenAt(path string) (net.Listener, error) {
	// The mode must be right from the first moment on.
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}

func listenIn(dir string) (net.Listener, error) {
	path, done, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := listenAt(path)
	if err != nil {
		return nil, err
	}
	if path != filepath.Join(dir, Socket) {
		l.(*net.UnixListener).SetUnlinkOnClose(false) // its path is gone by then
	}
	return l, nil
}

// socketPath returns a path to the socket in dir that is short enough; done
// releases it.
func socketPath(dir string) (path string, done func(), err error) {
	path = filepath.Join(dir, Socket)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), Socket), func() { _ = d.Close() }, nil
}

// ErrNotRunning says that no gateway listens on a control socket.
var ErrNotRunning = errors.New("no gateway is running there")

// Get asks the gateway whose queue is in dir for one page, as "/status".
func Get(ctx context.Context, dir, page string) ([]byte, error) {
	body, err := send(ctx, dir, http.MethodGet, page, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	return io.ReadAll(body)
}

// Page is one thing that a gateway does for another process: where it is asked
// for, and the types of the request Q and the answer A, which are JSON on the way.
type Page[Q, A any] string

// Ask has the gateway whose queue is in dir do it.
func (p Page[Q, A]) Ask(ctx context.Context, dir string, request Q) (answer A, err error) {
	body, err := p.open(ctx, dir, request)
	if err != nil {
		return answer, err
	}
	defer func() { _ = body.Close() }()
	return answer, json.NewDecoder(body).Decode(&answer)
}

// open sends the request and returns the answer as it comes.
func (p Page[Q, A]) open(ctx context.Context, dir string, request Q) (io.ReadCloser, error) {
	data, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	if _, bounded := ctx.Deadline(); !bounded {
		if err := speaks(ctx, dir); err != nil {
			return nil, err
		}
	}
	return send(ctx, dir, http.MethodPost, string(p), data)
}

// silentFor is how long a gateway may say nothing at all before who asks it for what has
// no bound is told: one that hangs or was stopped takes connections for ever.
var silentFor = 30 * time.Second

// speaks waits until the gateway says anything.
func speaks(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, silentFor, errSilent)
	defer cancel()
	body, err := send(ctx, dir, http.MethodGet, "/healthz", nil)
	if err == nil {
		_ = body.Close()
	}
	if context.Cause(ctx) == errSilent { //nolint:errorlint // it is ours
		return fmt.Errorf("the gateway of queue %s %w", dir, errSilent)
	}
	return nil // what is asked for says what else is wrong
}

var errSilent = errors.New("is there and says nothing: it hangs, or was stopped (SIGSTOP): its log may tell; a " +
	"restart loses nothing")

// Handle makes do what mux does when it is asked for the page. What is not a
// Q is refused before.
func (p Page[Q, A]) Handle(mux *http.ServeMux, do func(ctx context.Context, request Q) (A, error)) {
	p.handle(mux, func(w http.ResponseWriter, r *http.Request, request Q) {
		answer, err := do(r.Context(), request)
		if err != nil {
			http.Error(w, plain.Text(err), http.StatusConflict)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // who asked may be gone
	})
}

func (p Page[Q, A]) handle(mux *http.ServeMux, serve func(w http.ResponseWriter, r *http.Request, request Q)) {
	mux.HandleFunc("POST "+string(p), func(w http.ResponseWriter, r *http.Request) {
		var request Q
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			http.Error(w, "the request cannot be read: it is of a program of another version", http.StatusBadRequest)
			return
		}
		serve(w, r, request)
	})
}

// send sends one request to the gateway whose queue is in dir.
func send(ctx context.Context, dir, method, page string, body []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://gateway"+page, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, dir) }}}
	res, err := client.Do(req)
	switch {
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("queue %s: %w", dir, ErrNotRunning)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("the gateway whose queue is in %s %s", dir, ofAnother(ownerOf(dir)))
	case errors.Is(err, context.Canceled):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("the gateway of queue %s does not answer: %w", dir, err)
	case res.StatusCode >= 300:
		defer func() { _ = res.Body.Close() }()
		return nil, refusal(res)
	}
	return res.Body, nil
}

// errUnknown says that a gateway knows no such request.
var errUnknown = errors.New("the gateway does not know this request: it is of an older version, " +
	"restart it with the new one")

// refusal returns why the gateway does not do what it is asked, in its own words.
func refusal(res *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	why := strings.TrimSpace(string(text))
	switch {
	case err != nil:
		return fmt.Errorf("the gateway refuses, and its answer breaks off: %w", err)
	case res.StatusCode == http.StatusNotFound && why == "404 page not found",
		res.StatusCode == http.StatusMethodNotAllowed: // as Go's mux says it
		return errUnknown
	case why == "":
		return errors.New("the gateway refuses and does not say why: its log may")
	}
	return errors.New(why)
}

// maxRefusal bounds what is read of a refusal, in bytes.
const maxRefusal = 64 << 10

func dial(ctx context.Context, dir string) (net.Conn, error) {
	path, done, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
		return conn, err
	}
	for _, path := range elsewhere(dir) {
		if there, e := d.DialContext(ctx, "unix", path); e == nil {
			return there, nil
		}
	}
	return nil, err
}
