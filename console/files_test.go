package console

import (
	"context"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fieldbridge/password"
	"fieldbridge/setting"
)

// A file that breaks while the console serves is told within a minute, and no longer
// than it is broken.
func TestFilesThatBreak(t *testing.T) {
	hash, err := password.New([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		files, _ := certificate(t)
		c := Config{TLS: files, PasswordFile: file(t, "passwords", []byte("ann:"+hash+"\n")),
			TokenFile: file(t, "token", []byte("t0ken\n"))}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		v := new(View)
		go c.watch(ctx, &v.own)
		told := func() string {
			time.Sleep(lookEvery)
			synctest.Wait()
			if all := v.Conditions(); len(all) == 1 {
				return all[0].Code + " " + all[0].Text
			} else if len(all) > 1 {
				t.Fatalf("%v", all)
			}
			return ""
		}
		if got := told(); got != "" {
			t.Fatalf("all is well: %s", got)
		}
		for _, broken := range []struct {
			file       setting.Path
			with, want string
		}{
			{c.PasswordFile, "ann:secret\n", "nobody can log in: "}, {c.PasswordFile, "", "it has no user"},
			{c.TokenFile, "\nx", "its first line is empty"}, {c.TLS.Certificate, "x", "console.tls: "},
			{c.TLS.PrivateKey, "x", "console.tls: "},
		} {
			whole, err := os.ReadFile(string(broken.file))
			if err != nil {
				t.Fatal(err)
			}
			write := func(text []byte) {
				if err := os.WriteFile(string(broken.file), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write([]byte(broken.with))
			if got := told(); !strings.HasPrefix(got, "console_file a file of the console is broken: ") ||
				!strings.Contains(got, broken.want) {
				t.Errorf("%s of %q: %q, want %q", broken.file, broken.with, got, broken.want)
			}
			if err := os.Remove(string(broken.file)); err != nil {
				t.Fatal(err)
			}
			if got := told(); !strings.HasPrefix(got, "console_file ") {
				t.Errorf("%s is gone: %q", broken.file, got)
			}
			write(whole)
			if got := told(); got != "" {
				t.Errorf("%s is whole again: %q", broken.file, got)
			}
		}
		cancel()
		synctest.Wait()
		if all := v.Conditions(); len(all) != 0 {
			t.Errorf("after the end: %v", all)
		}
	})
}

// A certificate that has expired is told, with the file.
func TestCertified(t *testing.T) {
	files, _ := certificate(t)
	c := Config{TLS: files}
	if err := c.certified(time.Now()); err != nil {
		t.Error(err)
	}
	err := c.certified(time.Now().Add(2 * time.Hour))
	if err == nil || !strings.Contains(err.Error(), string(files.Certificate)+" expired at ") {
		t.Errorf("%v", err)
	}
}
