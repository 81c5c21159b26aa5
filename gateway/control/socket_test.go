package control

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/user"
	"strings"
	"testing"
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
