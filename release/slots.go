package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Slots are what slots.json holds.
type Slots struct {
	// Current is the release that runs, "" for the packaged program. Only a commit
	// moves it.
	Current string `json:"current,omitempty"`
	// Previous ran before Current, and takes its place when that is rolled back by hand.
	Previous string `json:"previous,omitempty"`
	Trial    *Trial `json:"trial,omitempty"`
	// Floor is the oldest version that may be tried.
	Floor string `json:"floor,omitempty"`
	// Bad are versions that have failed and are never tried again, the newest last.
	Bad []Bad `json:"bad,omitempty"`
	// Last is what became of the trial before.
	Last *Ended `json:"last,omitempty"`
}

// Trial is a release that must prove itself.
type Trial struct {
	Version  string    `json:"version"`
	Attempts int       `json:"attempts"` // how often it was started
	Begun    time.Time `json:"begun"`
	// Before is how the gateway was before the trial, in words of whoever judges it.
	Before json.RawMessage `json:"before,omitempty"`
}

// Bad is a version that has failed, and why.
type Bad struct {
	Version string `json:"version"`
	Why     string `json:"why"`
}

// Ended is what became of a trial.
type Ended struct {
	Version   string    `json:"version"`
	Committed bool      `json:"committed"`
	Why       string    `json:"why,omitempty"` // it was not committed
	At        time.Time `json:"at"`
}

// mostBad is how many bad versions are kept. A version is forgotten only below the
// floor that the releases since then have set, or when so many others have failed.
const mostBad = 100

// maxSlots bounds slots.json, in bytes.
const maxSlots = 64 << 10

// IsBad returns why a version is never tried again.
func (s *Slots) IsBad(version string) (why string, bad bool) {
	for _, b := range s.Bad {
		if b.Version == version {
			return b.Why, true
		}
	}
	return "", false
}

func (s *Slots) hasFailed(version string) bool {
	_, bad := s.IsBad(version)
	return bad
}

// end ends the trial, by a commit or with a reason.
func (s *Slots) end(why string, at time.Time) {
	v := s.Trial.Version
	s.Trial, s.Last = nil, &Ended{v, why == "", why, at.UTC()}
	if why == "" && s.Current != v {
		s.Previous, s.Current = s.Current, v
	}
}

// reject ends the trial and never tries the version again.
func (s *Slots) reject(why string, at time.Time) {
	if !s.hasFailed(s.Trial.Version) {
		s.Bad = append(s.Bad, Bad{s.Trial.Version, why})
		s.Bad = s.Bad[max(len(s.Bad)-mostBad, 0):]
	}
	if s.Current == s.Trial.Version { // its file was mended, and is no better
		s.Current, s.Previous = s.Previous, ""
	}
	s.end(why, at)
}

// ErrDamaged is that slots.json cannot be read.
var ErrDamaged = errors.New("the list of releases (slots.json) is damaged")

func (f *Folder) path(names ...string) string {
	return filepath.Join(append([]string{f.Dir}, names...)...)
}

// Slots reads slots.json; without one, nothing is kept here. The error is
// [ErrDamaged], or the disk's.
func (f *Folder) Slots() (Slots, error) {
	var s Slots
	text, err := readBounded(f.path("slots.json"), maxSlots)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return Slots{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	whole := func(v string) bool { return v == "" || isVersion(v) }
	if !whole(s.Current) || !whole(s.Previous) || !whole(s.Floor) || s.Trial != nil && !isVersion(s.Trial.Version) {
		return Slots{}, fmt.Errorf("%w: it names what is no version", ErrDamaged)
	}
	return s, nil
}

// change has do change the slots, and puts them on disk unless it refuses. One
// process at a time does: the lock is the folder's and ends with the process.
func (f *Folder) change(do func(*Slots) error) error {
	dir, err := os.Open(f.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	s, err := f.Slots()
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	if err := do(&s); err != nil {
		return err
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return replace(f.path("slots.json"), append(text, '\n'), 0o600)
}

// replace puts a file in the place of another, durably: whoever reads it finds the
// one or the other whole, after a power cut, too.
func replace(path string, text []byte, mode os.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // it is gone when all went well
	_, err = file.Write(text)
	if err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// readBounded reads a file of at most so many bytes.
func readBounded(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return text, err
}

// kept is how many releases stay on disk.
const kept = 3

// prune deletes what is no longer needed: releases beyond those kept, the oldest
// first, and what was left half written.
func (f *Folder) prune(s *Slots) {
	all, _ := os.ReadDir(f.Dir)
	var old []string
	needed := 0
	for _, e := range all {
		switch v := e.Name(); {
		case v == s.Current || s.Trial != nil && v == s.Trial.Version:
			needed++
		case isVersion(v) && !s.hasFailed(v):
			old = append(old, v)
		case isVersion(v) || strings.HasPrefix(v, ".new-"):
			_ = os.RemoveAll(f.path(v)) // a lack of space is told where it hurts
		}
	}
	slices.SortFunc(old, Compare)
	for _, v := range old[:max(len(old)+needed-kept, 0)] {
		_ = os.RemoveAll(f.path(v))
	}
}
