package setting

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Looks is what files look like from outside: it changes with each of them.
type Looks struct {
	text    string
	settled bool // no file has changed so lately that it may change again and look the same
}

// LookAt returns what files look like. Where PEM text stands in place of a path it is
// the text that counts.
func LookAt(files ...Path) Looks {
	l := Looks{settled: true}
	var text strings.Builder
	for _, f := range files {
		name, err := f.name()
		switch {
		case err != nil:
			l.settled = false
		case IsPEM(name):
			fmt.Fprintf(&text, "%x;", sha256.Sum256([]byte(name)))
			continue
		}
		info, err := os.Stat(name)
		fmt.Fprintf(&text, "%q %s;", name, stampOf(info))
		l.settled = l.settled && (errors.Is(err, fs.ErrNotExist) || err == nil && settled(info))
	}
	l.text = text.String()
	return l
}

// stampOf returns a text that changes with a file, "-" if there is none.
func stampOf(info fs.FileInfo) string {
	if info == nil {
		return "-"
	}
	var inode uint64
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = s.Ino
	}
	return fmt.Sprintf("%d %d %d %d", info.ModTime().UnixNano(), changed(info).UnixNano(), info.Size(), inode)
}

// coarse is the longest that a file system gives two changes the same time: FAT's 2 s,
// and some.
const coarse = 3 * time.Second

// settled reports whether the next change of a regular file will show in its times.
func settled(info fs.FileInfo) bool {
	now := time.Now()
	lately := func(t time.Time) bool { return now.Sub(t).Abs() < coarse }
	return info.Mode().IsRegular() && !lately(info.ModTime()) && !lately(changed(info))
}

// Remembered is what was made of files, for as long as they look the same. It is safe
// for concurrent use; the zero value remembers nothing.
type Remembered[T any] struct{ last atomic.Pointer[remembered[T]] }

type remembered[T any] struct {
	of    string
	value T
}

// Get returns what was made of files that look so, else what make makes of them now.
// An error is not remembered.
func (r *Remembered[T]) Get(files Looks, make func() (T, error)) (T, error) {
	if last := r.last.Load(); last != nil && last.of == files.text {
		return last.value, nil
	}
	value, err := make()
	if err == nil && files.settled {
		r.last.Store(&remembered[T]{files.text, value})
	}
	return value, err
}
