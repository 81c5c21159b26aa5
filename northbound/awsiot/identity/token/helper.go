package token

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Helper is the name of the program that loads vendors' libraries.
const Helper = "fieldbridge-p11"

// patience is how long a helper may take until it is killed. One that crashed is
// started again, once: the next call starts a new one in any case.
const patience = 10 * time.Second

// Caller starts the helper. Its methods can be called by several goroutines; many
// tokens serve one at a time, so that the calls take turns.
type Caller struct {
	Patience time.Duration // the longest wait for an answer; not to be changed while in use

	program func() (string, error)
	turn    chan struct{}

	mu      sync.Mutex
	refused map[string]string // guarded by mu; the stamps of PINs that were refused, by the name of a key
}

// Installed returns the caller of the helper that lies beside this program, or else in
// PATH.
func Installed() *Caller { return newCaller(find) }

// At returns the caller of the helper at path.
func At(path string) *Caller {
	return newCaller(func() (string, error) { return path, nil })
}

func newCaller(program func() (string, error)) *Caller {
	return &Caller{Patience: patience, program: program, turn: make(chan struct{}, 1),
		refused: map[string]string{}}
}

func find() (string, error) {
	if own, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(own), Helper)
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath(Helper)
	if err != nil {
		return "", fmt.Errorf("keys in PKCS #11 tokens need the program %s: install its package: %w", Helper, fs.ErrNotExist)
	}
	return path, nil
}

// FaultError is trouble that the helper told.
type FaultError struct {
	Fault Fault
	Text  string
}

func (e *FaultError) Error() string { return e.Text }

// What calls of the helper may return, besides *[FaultError].
var (
	ErrSilent  = errors.New("the vendor's PKCS #11 library does not answer; its process was ended")
	ErrCrashed = errors.New("the vendor's PKCS #11 library crashed, in a process of its own")
	// ErrLost says that the token is there, and has no such key.
	ErrLost = errors.New("the token no longer has the key")
)

// call has the helper do something.
func (c *Caller) call(ctx context.Context, u *URI, q Request) (*Answer, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	name := u.String()
	stamp := stampPIN(u)
	if c.wasRefused(name, stamp) {
		return nil, &FaultError{FaultPIN, "the token has refused the PIN; it is not tried again before its file changes, " +
			"because tokens lock themselves after a few"}
	}
	q.Version, q.URI = Version, name
	var a *Answer
	err := error(ErrCrashed)
	for try := 0; try < 2 && errors.Is(err, ErrCrashed); try++ {
		a, err = c.once(ctx, q)
	}
	if err != nil {
		return nil, err
	}
	switch a.Fault {
	case "":
		return a, nil
	case FaultLost:
		return nil, fmt.Errorf("%w: %w", ErrLost, &FaultError{a.Fault, a.Text})
	case FaultPIN:
		c.mu.Lock()
		c.refused[name] = stamp
		c.mu.Unlock()
	}
	return nil, &FaultError{a.Fault, a.Text}
}

func (c *Caller) wasRefused(name, stamp string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, ok := c.refused[name]
	return ok && before == stamp
}

// stampPIN returns a text that changes when the file of the PIN does.
func stampPIN(u *URI) string {
	info, err := os.Stat(u.PINFile())
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size())
}

// PINFile returns the path of the file with the PIN, "" if there is none.
func (u *URI) PINFile() string {
	if name, ok := strings.CutPrefix(u.PIN, "credential:"); ok {
		return filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), name)
	}
	return strings.TrimPrefix(u.PIN, "file:")
}

// once starts a helper for one request. A process of its own for each one sees tokens
// that were plugged in since, and takes nothing over from trouble before it.
func (c *Caller) once(ctx context.Context, q Request) (*Answer, error) {
	path, err := c.program()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Patience, ErrSilent)
	defer cancel()
	var request, answer bytes.Buffer
	if err := Write(&request, q); err != nil {
		return nil, err
	}
	said := &first{}
	cmd := exec.CommandContext(ctx, path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &request, &answer, said
	cmd.WaitDelay = time.Second // what the library started may hold the pipes
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.As(err, &exit):
		return nil, fmt.Errorf("%w: %v %s", ErrCrashed, exit, said.line())
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return nil, fmt.Errorf("%s cannot be started: %w", Helper, err)
	}
	a := &Answer{}
	if err := Read(&answer, a); err != nil {
		return nil, fmt.Errorf("%w: its answer cannot be read: %v", ErrCrashed, err)
	}
	return a, CheckVersion(a.Version)
}

// first keeps the beginning of what a helper says on its standard error.
type first struct{ b []byte }

// Write implements [io.Writer].
func (f *first) Write(b []byte) (int, error) {
	f.b = append(f.b, b[:min(len(b), 200-len(f.b))]...)
	return len(b), nil
}

func (f *first) line() string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(f.b)), "\n")
	return line
}
