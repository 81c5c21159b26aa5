package control

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/user"
	"strings"
	"testing"
	"time"
)

func TestSocketOverLongPath(t *testing.T) {
	for _, name := range []string{"queue", strings.Repeat("very-long-name-", 12)} {
		dir := t.TempDir() + "/" + name
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := Listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir + "/" + Socket)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("socket: %v, %v", info, err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
			_ *http.Request) {
			io.WriteString(w, "hi")
		})}
		served := make(chan struct{})
		go func() { defer close(served); server.Serve(l) }()
		data, err := Get(context.Background(), dir, "/")
		if err != nil || string(data) != "hi" {
			t.Errorf("got %q, %v", data, err)
		}
		server.Close()
		<-served
	}
}

// TestSocketWithoutDisk: a gateway whose folder takes no socket, as on a disk that is
// read-only, is found and asked all the same, and is not taken for one that is stopped. A
// second one of that folder does not take its place.
func TestSocketWithoutDisk(t *testing.T) {
	const dir = "/sys/kernel" // nobody can make a file there
	t.Setenv("RUNTIME_DIRECTORY", t.TempDir())
	if _, err := Get(context.Background(), dir, "/"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("nobody listens yet: %v", err)
	}
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(l.Addr().String()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info, err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hi")
	})}
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(l) }()
	if data, err := Get(context.Background(), dir, "/"); err != nil || string(data) != "hi" {
		t.Errorf("got %q, %v", data, err)
	}
	if _, err := Get(context.Background(), t.TempDir(), "/"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("another folder: %v", err)
	}
	if second, err := Listen(dir); err == nil {
		second.Close()
		t.Error("a second gateway listens in its place")
	}
	server.Close()
	<-served
	if l, err := Listen(t.TempDir() + "/gone"); err == nil {
		l.Close()
		t.Error("it listens for a folder that is not there")
	}
}

// TestSilentGateway: who asks a gateway that hangs for what may take long is told, and
// does not wait for ever.
func TestSilentGateway(t *testing.T) {
	dir := t.TempDir()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	silentFor = 100 * time.Millisecond
	defer func() { silentFor = 30 * time.Second }()
	_, err = Page[int, int]("/long").Ask(context.Background(), dir, 1)
	if err == nil || !strings.Contains(err.Error(), "is there and says nothing") {
		t.Errorf("a silent gateway: %v", err)
	}
	silentFor = time.Minute
	mux := http.NewServeMux() // which has no /healthz: that is an answer, too
	Page[int, int]("/long").Handle(mux, func(_ context.Context, n int) (int, error) { return n + 1, nil })
	server := &http.Server{Handler: mux}
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(l) }()
	if n, err := Page[int, int]("/long").Ask(context.Background(), dir, 1); err != nil || n != 2 {
		t.Errorf("one that is at work: %d, %v", n, err)
	}
	server.Close()
	<-served
}

// TestAnotherUser: who may not ask a gateway is told whose it is.
func TestAnotherUser(t *testing.T) {
	dir := t.TempDir()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if got := ownerOf(dir); got != me.Username {
		t.Errorf("the owner is %q, want %q", got, me.Username)
	}
	if os.Chown(dir, 54321, 54321) == nil { // as root
		if got := ofAnother(ownerOf(dir)); got != "is user #54321's: run this as that user, with sudo -u '#54321'" {
			t.Error(got)
		}
	}
	if got := ofAnother(ownerOf(dir + "/nothing")); got != "is another user's: run this as that user" {
		t.Error(got)
	}
}
