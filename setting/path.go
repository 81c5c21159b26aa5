package setting

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"syscall"
)

// Path is a file or folder that a configuration names, as it may be shown to
// anyone. What came from ${file:...} or ${env:...} stands in it as that and is
// looked up when the file is read: what it holds is in no message, and is kept
// nowhere. Where a certificate or key is named, its PEM text may stand instead of
// the path; as text for people it is then not shown, either.
type Path string

// mostFile bounds what [Path.Read] reads: the largest bundle of authorities has a
// quarter of it.
const mostFile = 1 << 20 // bytes

// IsPEM reports whether a text looks like what is in a PEM file, not like a path.
func IsPEM(text string) bool { return strings.Contains(text, "-----BEGIN ") }

// String returns the path, or what stands for it where it is not to be shown.
func (p Path) String() string {
	switch {
	case IsPEM(string(p)):
		return "(PEM text)"
	case strings.ContainsAny(string(p), "\n\x00"):
		return fmt.Sprintf("(%d bytes that are not a path)", len(p))
	}
	return string(p)
}

// GoString returns what String does, quoted.
func (p Path) GoString() string { return fmt.Sprintf("%q", p.String()) }

// elsewhere is a part of a path that is from a file or the environment.
var elsewhere = regexp.MustCompile(`\$\{(file|env):([^}]*)\}`)

// IsReference reports whether a part of a text is to be looked up elsewhere.
func IsReference(text string) bool { return elsewhere.MatchString(text) }

// name returns the path with what is from elsewhere in its place.
func (p Path) name() (string, error) {
	var failed error
	name := elsewhere.ReplaceAllStringFunc(string(p), func(part string) string {
		m := elsewhere.FindStringSubmatch(part)
		if m[1] == "env" {
			text, ok := os.LookupEnv(m[2])
			if !ok {
				failed = fmt.Errorf("the environment variable %s is not set: %w", m[2], fs.ErrNotExist)
			}
			return text
		}
		text, err := readFile(m[2], syscall.O_NONBLOCK)
		if err != nil {
			failed = fmt.Errorf("%s: %w", m[2], bare(err))
		}
		return strings.TrimRight(string(text), "\r\n")
	})
	return name, failed
}

// Read returns what the file has as [Text], or the PEM text that stands in its place: at
// most 1 MiB of a file, which is not a device. Its errors, of type [*fs.PathError], name the file
// as the configuration does and say nothing of what a ${...} in it holds.
func (p Path) Read() ([]byte, error) { return p.read(0) }

// Check returns what [Path.Read] would, if it is not a regular file that can be
// read. It never waits for the other end of a pipe.
func (p Path) Check() error {
	_, err := p.read(syscall.O_NONBLOCK)
	return err
}

func (p Path) read(flags int) ([]byte, error) {
	name, err := p.name()
	if err != nil {
		return nil, p.failed("open", err)
	}
	if IsPEM(name) {
		return []byte(name), nil
	}
	data, err := readFile(name, flags)
	if err != nil {
		return nil, p.failed("open", err)
	}
	return data, nil
}

// Stat tells of the file. Where PEM text stands in its place there is none: the
// info is nil without an error.
func (p Path) Stat() (fs.FileInfo, error) {
	name, err := p.name()
	if err != nil {
		return nil, p.failed("stat", err)
	}
	if IsPEM(name) {
		return nil, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, p.failed("stat", err)
	}
	return info, nil
}

func (p Path) failed(op string, err error) error {
	return &fs.PathError{Op: op, Path: p.String(), Err: bare(err)}
}

// bare returns an error without the name of the file.
func bare(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

var (
	errNotRegular = errors.New("is not a regular file")
	errTooLarge   = errors.New("is larger than 1 MiB")
)

// readFile reads a file that is regular; with the flags 0 a pipe is, too.
func readFile(name string, flags int) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|flags, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, syscall.EISDIR
	case !info.Mode().IsRegular() && (flags != 0 || info.Mode()&fs.ModeNamedPipe == 0):
		return nil, errNotRegular
	}
	data, err := io.ReadAll(io.LimitReader(f, mostFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > mostFile:
		return nil, errTooLarge
	}
	return Text(data)
}
