package state

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fieldbridge/store/disk"
)

// change does something to the content of a file.
func change(do func([]byte) []byte) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, do(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func flip(offset int) func(*testing.T, string) {
	return change(func(b []byte) []byte {
		b[offset] ^= 0x41
		return b
	})
}

func openTestState(t *testing.T, dir string) *Files {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStateKeepsValues(t *testing.T) {
	dir := t.TempDir()
	s := openTestState(t, dir)
	if v, err := s.Get("never"); v != nil || err != nil {
		t.Errorf("a key that was never put: %q, %v", v, err)
	}
	values := map[string][]byte{"a": {}, "plan.plc-1": []byte("x"), "big_1": bytes.Repeat([]byte{0, 255}, MaxValue/2)}
	for k, v := range values {
		if err := s.Put(k, []byte("before")); err != nil {
			t.Fatal(err)
		}
		if err := s.Put(k, v); err != nil {
			t.Fatal(err)
		}
	}
	// What a crash leaves half written counts for nothing.
	if err := os.WriteFile(filepath.Join(dir, "state", "a"+disk.Temporary), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = openTestState(t, dir)
	for k, v := range values {
		if got, err := s.Get(k); err != nil || !bytes.Equal(got, v) {
			t.Errorf("%s: %d bytes, %v", k, len(got), err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "state", "*"+disk.Temporary)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if h := s.Health(); len(h) > 0 {
		t.Errorf("health: %+v", h)
	}
}

func TestStateRefuses(t *testing.T) {
	s := openTestState(t, t.TempDir())
	for _, key := range []string{"", "A", "a/b", "../a", ".a", "a~b", "ä", strings.Repeat("k", 129)} {
		if err := s.Put(key, nil); err == nil {
			t.Errorf("key %q is taken", key)
		}
		if _, err := s.Get(key); err == nil {
			t.Errorf("key %q is looked up", key)
		}
	}
	if err := s.Put("a", make([]byte, MaxValue+1)); err == nil {
		t.Error("a value over the limit is taken")
	}
}

func TestDamagedStateIsSetAside(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"flipped":   flip(9),
		"cut":       change(func(b []byte) []byte { return b[:len(b)-1] }),
		"empty":     change(func([]byte) []byte { return nil }),
		"foreign":   func(t *testing.T, path string) { os.WriteFile(path, []byte("hello, this is something else"), 0o600) },
		"a folder":  func(t *testing.T, path string) { os.Remove(path); os.MkdirAll(filepath.Join(path, "x"), 0o700) },
		"magic":     flip(0),
		"its crc":   flip(5),
		"all zeros": change(func(b []byte) []byte { return append(make([]byte, 9), b[9:]...) }),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openTestState(t, dir)
			for _, k := range []string{"a", "b"} {
				if err := s.Put(k, []byte("value")); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, "state", "a")
			damage(t, path)
			s = openTestState(t, dir)
			if v, err := s.Get("a"); v != nil || err != nil {
				t.Errorf("damaged: %q, %v", v, err)
			}
			if h := s.Health(); len(h) != 1 || !strings.Contains(h[0].Text, `"a"`) {
				t.Errorf("health: %+v", h)
			}
			if _, err := os.Lstat(path + "~damaged"); err != nil {
				t.Error("it is not set aside")
			}
			if v, err := s.Get("b"); string(v) != "value" || err != nil {
				t.Errorf("the other key: %q, %v", v, err)
			}
			if err := s.Put("a", []byte("new")); err != nil {
				t.Fatal(err)
			}
			if v, _ := s.Get("a"); string(v) != "new" {
				t.Errorf("put again: %q", v)
			}
		})
	}
}

// A state that is read beside its owner stays as it is.
func TestReadState(t *testing.T) {
	dir := t.TempDir()
	s := openTestState(t, dir)
	if err := s.Put("a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, "state", "b"+disk.Temporary)
	damaged := filepath.Join(dir, "state", "c")
	for _, f := range []string{half, damaged} {
		if err := os.WriteFile(f, []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := Read(dir)
	if v, err := r.Get("a"); string(v) != "x" || err != nil {
		t.Errorf("read %q, %v", v, err)
	}
	for _, key := range []string{"b", "c"} {
		if v, err := r.Get(key); v != nil || err != nil {
			t.Errorf("%s: %q, %v", key, v, err)
		}
	}
	if err := r.Put("a", []byte("y")); err == nil || !strings.Contains(err.Error(), "for reading") {
		t.Errorf("put: %v", err)
	}
	for _, f := range []string{half, damaged} {
		if _, err := os.Stat(f); err != nil {
			t.Error(err)
		}
	}
	nowhere := filepath.Join(dir, "nowhere")
	if v, err := Read(nowhere).Get("a"); v != nil || err != nil {
		t.Errorf("no folder: %q, %v", v, err)
	}
	if _, err := os.Stat(nowhere); err == nil {
		t.Error("reading made a folder")
	}
}

// TestWritten: what is put and what is noted is counted when it is written.
func TestWritten(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put("a", make([]byte, 5000)); err != nil || s.Written() != 3*4096 {
		t.Errorf("%d bytes, %v", s.Written(), err)
	}
	before := s.Written()
	if err := s.Note("b", []byte("x")); err != nil || s.Written() != before {
		t.Errorf("%d bytes for a note in memory, %v", s.Written()-before, err)
	}
	if err := s.Close(); err != nil || s.Written() != before+2*4096 {
		t.Errorf("%d bytes at the end, %v", s.Written(), err)
	}
}
