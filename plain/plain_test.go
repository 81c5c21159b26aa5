package plain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// foreign is what no sentence may have: calls, packages and numbers of errors.
var foreign = regexp.MustCompile(`(^|[ :(])(open|stat|lstat|mkdir|rename|link|dial|listen|bind|connect|strconv|json|` +
	`net|http|os|context)(\.\w+)?:? (\S+: )?(no such|permission|not a|is a|file exists|connection|address|i/o|parsing|` +
	`invalid|deadline|cannot)|errno|deadline exceeded|no such file or directory`)

// TestText makes the system fail and reads what is said of it.
func TestText(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	_, noFile := os.Open(filepath.Join(dir, "none"))
	_, noFolder := os.Stat(filepath.Join(file, "x"))
	_, there := os.OpenFile(file, os.O_CREATE|os.O_EXCL, 0o600)
	_, folder := os.ReadFile(dir)
	_, port := net.Listen("tcp", taken)
	_, number := strconv.Atoi("x1")
	syntax := json.Unmarshal([]byte("{"), new(int))
	kind := json.Unmarshal([]byte(`"a"`), new(int))
	late, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-late.Done()
	_, slow := new(net.Dialer).DialContext(late, "tcp", taken)
	closed := l.Addr().String()
	l.Close()
	_, refused := net.Dial("tcp", closed)
	for _, tt := range []struct {
		err  error
		want string
	}{
		{noFile, filepath.Join(dir, "none") + ": no such file or folder: check the name"},
		{noFolder, "a part of this path is a file"},
		{there, file + ": it is there already"},
		{folder, dir + ": is a folder: name a file"},
		{port, taken + ": another program has this port"},
		{refused, closed + ": connection refused: nothing listens there"},
		{slow, "no answer in time"},
		{number, `"x1" is no number`},
		{syntax, "it is not JSON"},
		{kind, "its JSON has a string"},
		{os.Rename(filepath.Join(dir, "none"), file), "no such file"},
		{syscall.ENOSPC, "the disk is full"},
		{context.DeadlineExceeded, "no answer in time"},
		{&net.DNSError{Name: "cloud.invalid", Err: "no such host", IsNotFound: true}, "cloud.invalid: no host of that name"},
	} {
		for _, err := range []error{tt.err, fmt.Errorf("queue: %w", tt.err), errors.Join(io.EOF, tt.err),
			fmt.Errorf("a: %w, b: %w", io.EOF, tt.err)} {
			got := Text(err)
			if !strings.Contains(got, tt.want) || foreign.MatchString(got) {
				t.Errorf("%v:\n%s\nwant %s", err, got, tt.want)
			}
		}
		if got, want := Text(fmt.Errorf("queue: %w!", tt.err)), "queue: "+Text(tt.err)+"!"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What the program says itself stays as it is.
func TestTextOfOurs(t *testing.T) {
	for _, err := range []error{nil, errors.New("open the valve: no"), fmt.Errorf("a %w", io.ErrUnexpectedEOF)} {
		want := ""
		if err != nil {
			want = err.Error()
		}
		if got := Text(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Who goes on after an error says what to do.
func TestTextWithAdvice(t *testing.T) {
	err := fmt.Errorf("bus plc: %w: is the device on?", &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED})
	if got, want := Text(err), "bus plc: connection refused: is the device on?"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
