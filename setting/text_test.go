package setting

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf16"
)

func encoded16(text string, big, mark bool) []byte {
	var b []byte
	if mark {
		text = "\ufeff" + text
	}
	for _, u := range utf16.Encode([]rune(text)) {
		if big {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return b
}

// TestCaseW04: what editors and shells of Windows put into a text file.
func TestCaseW04(t *testing.T) {
	const mark = "\ufeff"
	for name, tt := range map[string]struct{ in, want string }{
		"plain":      {"word\n", "word\n"},
		"mark":       {mark + "word\n", "word\n"},
		"nothing":    {"", ""},
		"mark alone": {mark, ""},
		"files put together": {mark + "-----BEGIN A-----\n" + mark + "-----BEGIN B-----",
			"-----BEGIN A-----\n-----BEGIN B-----"},
		"mark inside a text":  {"a" + mark + "b", "a" + mark + "b"},
		"three bytes":         {"abc", "abc"},
		"zero bytes in a row": {"a\x00\x00\x00", "a\x00\x00\x00"},
	} {
		if got, err := Text([]byte(tt.in)); err != nil || string(got) != tt.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, big := range []bool{false, true} {
		for _, marked := range []bool{false, true} {
			if _, err := Text(encoded16("-----BEGIN CERTIFICATE-----", big, marked)); !errors.Is(err, ErrUTF16) {
				t.Errorf("UTF-16, big endian %t, mark %t: %v", big, marked, err)
			}
		}
	}
	certificate, key := newIdentity(t)
	file := func(name string, content []byte) Path {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return Path(path)
	}
	bundle := append([]byte(mark), certificate...)
	bundle = append(append(bundle, mark...), certificate...)
	files := TLSFiles{file("c", append([]byte(mark), certificate...)), file("k", append([]byte(mark), key...)),
		file("a", bundle)}
	if _, err := files.Pair(); err != nil {
		t.Error(err)
	}
	if pool, err := files.Pool(); err != nil || pool == nil {
		t.Errorf("%v, %v", pool, err)
	}
	files.Certificate = file("c16", encoded16(string(certificate), false, true))
	var wrong *FileError
	if _, err := files.Pair(); !errors.As(err, &wrong) || wrong.Key != "certificate" || !errors.Is(err, ErrUTF16) {
		t.Errorf("UTF-16: %v", err)
	}
}
