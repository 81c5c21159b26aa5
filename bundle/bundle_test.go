package bundle

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func sample() *Bundle {
	return &Bundle{Hash: "0123456789abcdef", Main: "gateway.yaml", Files: map[string]string{
		"gateway.yaml":         "gateway: g\ninclude: [profiles/, site.yaml]\nx: ${file:/etc/secret}\n",
		"site.yaml":            "vars: {a: <b>}\n",
		"profiles/meter.yaml":  "profiles: {}\n",
		"profiles/a/pump.yaml": "profiles: {}\n",
	}}
}

// TestThereAndBack: what was packed is laid out as it was, for its owner alone.
func TestThereAndBack(t *testing.T) {
	packed, err := sample().Pack()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := sample().Pack(); err != nil || !bytes.Equal(packed, again) {
		t.Errorf("the same files make other bytes: %v", err)
	}
	b, err := Unpack(packed)
	if err != nil || b.Hash != sample().Hash || !maps.Equal(b.Files, sample().Files) {
		t.Fatalf("%+v, %v", b, err)
	}
	dir := filepath.Join(t.TempDir(), "0123")
	main, err := b.Write(dir)
	if err != nil || main != filepath.Join(dir, "gateway.yaml") {
		t.Fatal(main, err)
	}
	found := map[string]string{}
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", p, info.Mode(), err)
		}
		if d.IsDir() {
			return nil
		}
		text, err := os.ReadFile(p)
		name, _ := filepath.Rel(dir, p)
		found[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil || !maps.Equal(found, b.Files) {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := b.Write(dir); err == nil {
		t.Error("it was laid over another")
	}
	if text, err := os.ReadFile(main); err != nil || string(text) != b.Files["gateway.yaml"] {
		t.Errorf("and the other is gone: %v", err)
	}
}

// TestPaths: nothing leads out of the folder, and nothing but YAML is written.
// TestIn: a folder is a bundle's only if nothing is missing, other or more.
func TestIn(t *testing.T) {
	b := sample()
	for name, tt := range map[string]struct {
		change func(dir string) error
		is     bool
	}{
		"as it was":       {func(string) error { return nil }, true},
		"a file is other": {func(dir string) error { return os.WriteFile(dir+"/gateway.yaml", []byte("x"), 0o600) }, false},
		"a file is gone":  {func(dir string) error { return os.Remove(dir + "/gateway.yaml") }, false},
		"a file is more":  {func(dir string) error { return os.WriteFile(dir+"/more.yaml", nil, 0o600) }, false},
		"a file is a link": {func(dir string) error {
			return errors.Join(os.Rename(dir+"/gateway.yaml", dir+"/../a"), os.Symlink("../a", dir+"/gateway.yaml"))
		}, false},
		"it is not there": {os.RemoveAll, false},
	} {
		dir := filepath.Join(t.TempDir(), "0123")
		main, err := b.Write(dir)
		if err := errors.Join(err, tt.change(dir)); err != nil {
			t.Fatal(err)
		}
		if got, is := b.In(dir); is != tt.is || is && got != main {
			t.Errorf("%s: %v %q", name, is, got)
		}
	}
}

func TestPaths(t *testing.T) {
	for _, name := range []string{"../a.yaml", "/a.yaml", "a/../../b.yaml", "a/../b.yaml", "./a.yaml", "a//b.yaml", "",
		".", "a/", `a\..\b.yaml`, ".hidden.yaml", ".git/a.yaml", "a\x00.yaml", "a\n.yaml", "run.sh", "a.yaml/b.yaml",
		strings.Repeat("a", 300) + ".yaml", strings.Repeat("a/", 20) + "a.yaml", "\xff.yaml"} {
		b := &Bundle{Main: "a.yaml", Files: map[string]string{"a.yaml": "", name: "x: 1\n"}}
		if _, err := b.Pack(); err == nil {
			t.Errorf("%q was packed", name)
		}
		dir := filepath.Join(t.TempDir(), "new")
		if _, err := b.Write(dir); err == nil {
			t.Errorf("%q was written", name)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%q left a folder", name)
		}
	}
}

// TestSecrets: what would open a door does not travel.
func TestSecrets(t *testing.T) {
	for text, secret := range map[string]bool{
		"private_key: |\n  -----BEGIN EC PRIVATE KEY-----\n":   true,
		"url: mqtts://me:word@host:8883\n":                     true,
		"proxy: 'http://me:word@proxy:3128'\n":                 true,
		"key: pkcs11:token=a?pin-value=1234\n":                 true,
		"url: mqtts://me:${file:/run/word}@host:8883\n":        false,
		"url: mqtts://me@host:8883\n":                          false,
		"url: tcp://10.0.0.1:502\nmail: a@b\n":                 false,
		"key: pkcs11:token=a?pin-source=/etc/pin\n":            false,
		"certificate: |\n  -----BEGIN CERTIFICATE-----\n":      false,
		"private_key: ${file:/etc/fieldbridge/identity.key}\n": false,
	} {
		b := &Bundle{Main: "a.yaml", Files: map[string]string{"a.yaml": text}}
		_, err := b.Pack()
		if (err != nil) != secret {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && (strings.Contains(err.Error(), "word") && strings.Contains(err.Error(), "me:")) {
			t.Errorf("the secret is told: %v", err)
		}
	}
}

// TestBounds: a bundle that is large, or becomes so, costs little.
func TestBounds(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	piece := bytes.Repeat([]byte(" "), 1<<20)
	for range 17 {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Unpack(bomb.Bytes()); err == nil || !strings.Contains(err.Error(), "more than 16 MiB") {
		t.Errorf("a bomb: %v", err)
	}
	if _, err := Unpack(make([]byte, MaxBytes+1)); err == nil {
		t.Error("too many bytes")
	}
	many := &Bundle{Main: "a.yaml", Files: map[string]string{"a.yaml": strings.Repeat("#", maxText+1)}}
	if _, err := many.Pack(); err == nil {
		t.Error("too much text")
	}
	packed, err := sample().Pack()
	if err != nil {
		t.Fatal(err)
	}
	for i := range packed {
		if b, err := Unpack(packed[:i]); err == nil {
			t.Errorf("%d of %d bytes are a bundle: %v", i, len(packed), b)
		}
	}
}

// FuzzUnpack: what is unpacked can be written, and stays in its folder.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte(`{"main":"a.yaml","files":{"a.yaml":"","b/c.yaml":""}}`))
	f.Add([]byte(`{"main":"../a.yaml","files":{"../a.yaml":""}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		_, _ = Unpack(text) // it must not panic
		b, err := Unpack(packed.Bytes())
		if err != nil {
			return
		}
		dir := t.TempDir()
		if _, err := b.Write(filepath.Join(dir, "in")); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
			t.Fatalf("%q: %d files beside it, %v", text, len(all), err)
		}
	})
}
