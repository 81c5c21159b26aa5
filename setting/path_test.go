package setting

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPath: a file is read by whichever way it is named, and no error says what
// stands where only a reference should be seen.
func TestPath(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const pem = "-----BEGIN PRIVATE KEY-----\nkanarek\n-----END PRIVATE KEY-----"
	key, word := file("key", pem), file("word", "kanarek")
	long := file("long", strings.Repeat("kanarek", 100))
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FB_TEST_DIR", dir)
	for path, want := range map[string]string{
		key: pem, "${file:" + key + "}": pem, pem: pem, "${env:FB_TEST_DIR}/key": pem,
		filepath.Join(dir, "none"): "open " + dir + "/none: no such file or directory",
		"${file:" + word + "}":     "open ${file:" + word + "}: no such file or directory",
		"${file:" + long + "}":     "open ${file:" + long + "}: file name too long",
		"${file:/none}":            "open ${file:/none}: /none: no such file or directory",
		"${env:FB_TEST_NONE}": "open ${env:FB_TEST_NONE}: the environment variable FB_TEST_NONE is not set: " +
			"file does not exist",
		filepath.Join(dir, "pipe"): "open " + dir + "/pipe: is not a regular file",
		"/dev/zero":                "open /dev/zero: is not a regular file",
		dir:                        "open " + dir + ": is a directory",
		"kanarek\nkanarek":         "open (15 bytes that are not a path): no such file or directory",
	} {
		p := Path(path)
		err := p.Check()
		var data []byte
		if err == nil {
			data, err = p.Read()
		}
		got := string(data)
		if err != nil {
			var at *fs.PathError
			if got = err.Error(); !errors.As(err, &at) {
				t.Errorf("%s: %T", p, err)
			}
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", p, got, want)
		}
		for _, text := range []string{fmt.Sprintf("%s %v %q %+v %#v", p, p, p, []any{p}, p)} {
			if strings.Contains(text, "kanarek") {
				t.Errorf("shown: %s", text)
			}
		}
		if err != nil && strings.Contains(err.Error(), "kanarek") {
			t.Errorf("an error shows it: %v", err)
		}
		if _, err := p.Stat(); err != nil && strings.Contains(err.Error(), "kanarek") {
			t.Errorf("an error shows it: %v", err)
		}
	}
}

// TestTextsAsFiles: PEM text is taken as the file would be.
func TestTextsAsFiles(t *testing.T) {
	certificate, key := newIdentity(t)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, key, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FB_TEST_CERTIFICATE", string(certificate))
	f := TLSFiles{Certificate: "${env:FB_TEST_CERTIFICATE}", PrivateKey: Path("${file:" + file + "}"),
		CA: Path(certificate)}
	if _, err := f.Pair(); err != nil {
		t.Error(err)
	}
	if pool, err := f.Pool(); err != nil || pool == nil {
		t.Error(pool, err)
	}
	_, another := newIdentity(t)
	before := f.Stamp()
	if err := os.WriteFile(file, another, 0o600); err != nil {
		t.Fatal(err)
	}
	if f.Stamp() == before {
		t.Error("another key is not noticed")
	}
	f.PrivateKey = Path(certificate)
	if _, err := f.Pair(); err == nil || err.Error() != "private_key (PEM text): there is no PEM private key in it" {
		t.Error(err)
	}
}

func TestHidden(t *testing.T) {
	h := new(Hidden)
	h.Add("first line\nsecond line", "${file:two}")
	h.Add("short", "${env:SHORT}")
	h.Add("123456", "${env:NUMBER}")
	h.Add("first line of more", `${file:a"b}`)
	h.AddUserinfo("http://me:pass@word@host:1")
	h.Ready()
	for text, want := range map[string]string{
		"a second line":                      "a ${file:two}",
		`"first line\nsecond line"`:          `"${file:two}"`,
		"short 123456":                       "short 123456",
		"first line of more":                 "${file:a'b}",
		"http://me:pass@word@host:1 refused": "http://***@host:1 refused",
		"is pass@word right?":                "is *** right?",
	} {
		if got := h.In(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	base := errors.New("no second line")
	if err := h.Error(base); !errors.Is(err, base) || err.Error() != "no ${file:two}" {
		t.Error(err)
	}
	var none *Hidden
	if none.In("x") != "x" || none.Error(base) != base || none.With(h).In("second line") != "${file:two}" {
		t.Error("a nil Hidden is of no use")
	}
	if got := MaskUserinfo("socks5://u:p@h:1"); got != "socks5://***@h:1" {
		t.Error(got)
	}
}
