package token

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Variables of the environment that make this program a helper with a fixed answer.
const (
	fakeAnswer = "FIELDBRIDGE_P11_ANSWER"
	fakeCount  = "FIELDBRIDGE_P11_COUNT"
)

func TestMain(m *testing.M) {
	if answer := os.Getenv(fakeAnswer); answer != "" {
		if err := fake(json.RawMessage(answer)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// fake reads a request, counts it and answers.
func fake(answer json.RawMessage) error {
	var q Request
	if err := Read(os.Stdin, &q); err != nil {
		return err
	}
	f, err := os.OpenFile(os.Getenv(fakeCount), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteString("."); err != nil {
		return err
	}
	if answer[0] == '"' {
		return errors.New("out of order\nand more")
	}
	return Write(os.Stdout, answer)
}

// TestAnswers does with each answer what it is for, and asks again only where that
// cannot do harm.
func TestAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		err    error // nil if none of ours
		text   string
		starts int // of the helper, for two signatures
	}{
		"a PIN refused":    {`{"version":1,"fault":"pin","text":"no"}`, nil, "not tried again", 1},
		"no key":           {`{"version":1,"fault":"lost","text":"no"}`, ErrLost, "no", 2},
		"trouble":          {`{"version":1,"fault":"device","text":"code 0x30"}`, nil, "code 0x30", 2},
		"another version":  {`{"version":2}`, nil, "different versions", 2},
		"no answer":        {`"crash"`, ErrCrashed, "out of order", 4},
		"half a signature": {`{"version":1,"signature":"AAA="}`, nil, "is wrong", 2},
	} {
		t.Run(name, func(t *testing.T) {
			count := filepath.Join(t.TempDir(), "count")
			t.Setenv(fakeAnswer, tt.answer)
			t.Setenv(fakeCount, count)
			c := At(os.Args[0])
			k := &Key{caller: c, uri: &URI{Module: "/x", PIN: "/nowhere"}, public: someKey(t)}
			var err error
			for range 2 {
				_, err = k.Sign(nil, make([]byte, 32), nil)
			}
			if err == nil || !strings.Contains(err.Error(), tt.text) || tt.err != nil && !errors.Is(err, tt.err) ||
				strings.Contains(err.Error(), "and more") {
				t.Errorf("error %v", err)
			}
			if b, err := os.ReadFile(count); len(b) != tt.starts {
				t.Errorf("%d starts, want %d (%v)", len(b), tt.starts, err)
			}
		})
	}
}

func TestNoHelper(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Installed().Open(context.Background(), &URI{Module: "/x"})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "install its package") {
		t.Errorf("%v", err)
	}
	_, err = At("/nowhere/helper").Open(context.Background(), &URI{Module: "/x"})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), Helper) {
		t.Errorf("%v", err)
	}
}

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	err := Write(&b, Request{Version: 1, URI: strings.Repeat("x", maxFrame)})
	if !errors.Is(err, errFrame) || b.Len() > 0 {
		t.Errorf("too long: %v, %d bytes", err, b.Len())
	}
	if err := Read(bytes.NewReader([]byte{1, 0, 0, 0}), &Request{}); !errors.Is(err, errFrame) {
		t.Errorf("too long: %v", err)
	}
}

// FuzzRead reads anything that a helper may write.
func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := Write(&b, Answer{Version: 1, Signature: []byte{1, 2}}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Fuzz(func(t *testing.T, b []byte) {
		var a Answer
		if err := Read(bytes.NewReader(b), &a); err == nil && len(b) < 4 {
			t.Error("an answer without a size")
		}
	})
}
