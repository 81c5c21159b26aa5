package state

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// files returns the names of what is in the folder of a state.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func wantValue(t *testing.T, s *Files, key, want string) {
	t.Helper()
	if v, err := s.Get(key); err != nil || string(v) != want || v == nil {
		t.Errorf("%s is %q, %v, want %q", key, v, err, want)
	}
}

func note(t *testing.T, s *Files, key, value string) {
	t.Helper()
	if err := s.Note(key, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func TestNotesShareOneFile(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openTestState(t, dir)
		for i := range 200 {
			note(t, s, fmt.Sprintf("plan.%d", i), fmt.Sprint("first ", i))
		}
		wantValue(t, s, "plan.7", "first 7")
		time.Sleep(NoteWithin - time.Millisecond)
		note(t, s, "plan.7", "second")
		if got := files(t, dir); len(got) > 0 {
			t.Errorf("on disk already: %v", got)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := files(t, dir); len(got) != 1 || got[0] != notesFile {
			t.Errorf("files %v, want %s alone", got, notesFile)
		}
		info, _ := os.Stat(filepath.Join(dir, "state", notesFile))
		note(t, s, "plan.7", "second") // which it is already
		time.Sleep(2 * NoteWithin)
		synctest.Wait()
		if again, _ := os.Stat(filepath.Join(dir, "state", notesFile)); !os.SameFile(info, again) {
			t.Error("notes that have not changed are written again")
		}
	})
	s := openTestState(t, dir) // after a crash
	wantValue(t, s, "plan.7", "second")
	wantValue(t, s, "plan.199", "first 199")
	r := Read(dir)
	wantValue(t, r, "plan.8", "first 8")
	if err := r.Note("plan.8", nil); err == nil {
		t.Error("a state for reading takes a note")
	}
}

func TestNotesComeAfterWhatWasPut(t *testing.T) {
	dir := t.TempDir()
	s := openTestState(t, dir)
	for _, key := range []string{"a", "b"} {
		if err := s.Put(key, []byte("put")); err != nil {
			t.Fatal(err)
		}
	}
	note(t, s, "a", "noted")
	wantValue(t, s, "a", "noted")
	wantValue(t, openTestState(t, dir), "a", "put") // a crash may take the note
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Note("a", nil); err == nil {
		t.Error("a state that is closed takes a note")
	}
	if got := strings.Join(files(t, dir), " "); got != "b "+notesFile {
		t.Errorf("files: %s", got)
	}
	s = openTestState(t, dir)
	wantValue(t, s, "a", "noted")
	// What was noted once can be put, and is on disk at once.
	if err := s.Put("a", []byte("put again")); err != nil {
		t.Fatal(err)
	}
	s = openTestState(t, dir)
	wantValue(t, s, "a", "put again")
	wantValue(t, s, "b", "put")
}

// A disk that takes its time stops neither Get nor Note.
func TestNobodyWaitsForAPut(t *testing.T) {
	dir := t.TempDir()
	s := openTestState(t, dir)
	for _, key := range []string{"a", "b", "c"} {
		if err := s.Put(key, []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	flip(9)(t, filepath.Join(dir, "state", "c"))
	// The file that is written beside is a pipe that nobody reads: its open waits.
	pipe := filepath.Join(dir, "state", "a.tmp~")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Put("a", []byte("new")) }()
	for s.writing.TryLock() { // until Put has it
		s.writing.Unlock()
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		wantValue(t, s, "a", "value")
		wantValue(t, s, "b", "value")
		if v, err := s.Get("c"); v != nil || err != nil {
			t.Errorf("damaged: %q, %v", v, err)
		}
		note(t, s, "d", "noted")
		wantValue(t, s, "d", "noted")
		if h := s.Health(); len(h) > 0 {
			t.Errorf("health: %+v", h)
		}
	}()
	select {
	case <-answered:
	case err := <-done:
		t.Fatalf("Put ended with %v", err)
	case <-time.After(30 * time.Second):
		t.Error("Get, Note or Health waits for a Put")
	}
	r, err := os.OpenFile(pipe, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := <-done; err == nil {
		t.Error("a pipe was synced")
	}
	<-answered
	if v, err := s.Get("c"); v != nil || err != nil || len(s.Health()) != 1 {
		t.Errorf("damaged: %q, %v, health %+v", v, err, s.Health())
	}
}

func TestNotesThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openTestState(t, dir)
		folder := filepath.Join(dir, "state")
		if err := os.Rename(folder, folder+"-away"); err != nil {
			t.Fatal(err)
		}
		note(t, s, "a", "noted")
		time.Sleep(NoteWithin)
		synctest.Wait()
		if h := s.Health(); len(h) != 1 || !strings.Contains(h[0].Text, "cannot be saved") {
			t.Errorf("health: %+v", h)
		}
		if err := s.Put("a", []byte("put")); err == nil {
			t.Error("it is put where no folder is")
		}
		if err := os.Rename(folder+"-away", folder); err != nil {
			t.Fatal(err)
		}
		time.Sleep(NoteWithin)
		synctest.Wait()
		if h := s.Health(); len(h) > 0 {
			t.Errorf("health: %+v", h)
		}
	})
	wantValue(t, openTestState(t, dir), "a", "put")
}

func TestDamagedNotesAreSetAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state", notesFile)
	s := openTestState(t, dir)
	for _, key := range []string{"a", "b", "c"} {
		note(t, s, key, "value of "+key)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flip(bytes.Index(data, []byte("value of b")))(t, path)
	r := Read(dir)
	wantValue(t, r, "c", "value of c")
	for range 2 { // what is left is on disk again at once
		s = openTestState(t, dir)
		wantValue(t, s, "a", "value of a")
		wantValue(t, s, "c", "value of c")
		if v, err := s.Get("b"); v != nil || err != nil {
			t.Errorf("damaged: %q, %v", v, err)
		}
	}
	if _, err := os.Stat(path + "~damaged"); err != nil {
		t.Error(err)
	}
}

func FuzzNotes(f *testing.F) {
	f.Add(packNotes(map[string][]byte{"a": nil, "plan.1": []byte("x")}))
	f.Add([]byte{1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		notes, _ := unpackNotes(data)
		again, damaged := unpackNotes(packNotes(notes))
		if damaged > 0 || len(again) != len(notes) {
			t.Fatalf("%d notes, %d again, %d damaged", len(notes), len(again), damaged)
		}
		for key, value := range notes {
			if !bytes.Equal(again[key], value) {
				t.Errorf("%q is %q, was %q", key, again[key], value)
			}
		}
	})
}
