// Package state is the small durable memory of a gateway: learned plans, command
// ids, the connection number.
package state

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/store/disk"
)

// Files is a small durable memory in a folder of its own. What is put has a file
// a key, so that damage to one key harms no other; each is replaced whole:
// written beside, synced, renamed, and the folder synced. What is noted shares
// one file, which is replaced in the same way. It is safe for concurrent use. End
// it with [Files.Close].
type Files struct {
	dir      string
	readOnly bool // see Read

	conditions condition.List // what is wrong, with a lock of its own

	written atomic.Uint64 // bytes, in whole pages

	writing sync.Mutex // one file is written at a time; held over the disk

	mu     sync.Mutex // guards what follows; never held over the disk
	notes  map[string][]byte
	moved  []string    // keys of notes that may have files of their own
	due    *time.Timer // writes the notes; nil if they are on disk
	closed bool
}

var (
	_ bridge.Notebook    = (*Files)(nil)
	_ condition.Reporter = (*Files)(nil)
)

// MaxValue is the largest value that is taken, in bytes.
const MaxValue = 64 << 10

// Folder is the name of the folder, in that of the queue.
const Folder = "state"

// Open opens the state in the folder "state" of dir, the folder of the queue, and
// makes it when it does not exist.
func Open(dir string) (*Files, error) {
	dir = filepath.Join(dir, Folder)
	if err := disk.MakeDir(dir); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	disk.RemoveLeftovers(dir)
	s := &Files{dir: dir}
	s.readNotes()
	return s, nil
}

// Read returns the state in the folder "state" of dir for reading, beside a
// gateway that may be running: nothing is made, changed or set aside. What does
// not exist or is damaged is as if it was never put.
func Read(dir string) *Files {
	s := &Files{dir: filepath.Join(dir, Folder), readOnly: true}
	s.readNotes()
	return s
}

// Get implements [bridge.State]. It does not wait for what is being written. A
// damaged value is set aside under the name KEY~damaged, reported by
// [Files.Health], and is as if it was never put.
func (s *Files) Get(key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	value, noted := s.notes[key]
	s.mu.Unlock()
	if noted {
		return bytes.Clone(value), nil
	}
	// Without the lock: a file is replaced whole, so there is the old or the new one.
	value, err := s.read(key)
	if err == nil || s.readOnly || !s.writing.TryLock() {
		return value, nil // while something is written it may be this key
	}
	defer s.writing.Unlock()
	if value, err = s.read(key); err != nil {
		s.setAside(key, err)
	}
	return value, nil
}

// read reads the file of a key, if there is one.
func (s *Files) read(key string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(s.dir, key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	value, ok := disk.Unframe(data)
	if !ok {
		return nil, errChecksum
	}
	return value, nil
}

var errChecksum = errors.New("its checksum is wrong")

// setAside moves what is damaged out of the way. The caller holds writing.
// What is lost is learnt again; keeping the gateway from its work would be worse.
func (s *Files) setAside(name string, cause error) {
	path := filepath.Join(s.dir, name)
	why := cause.Error()
	if err := os.Rename(path, path+"~damaged"); err != nil {
		why += "; it cannot be set aside: " + err.Error()
	}
	s.conditions.Raise(condition.StateDamaged, "state "+name, name, why)
}

// Put implements [bridge.State]. Calls wait for one another, and for notes that
// are being written. After an error [Files.Get] may give either value.
func (s *Files) Put(key string, value []byte) error {
	if err := s.check(key, value); err != nil {
		return err
	}
	s.mu.Lock()
	_, noted := s.notes[key]
	s.mu.Unlock()
	if noted { // it stays in the file of notes, which has the last word
		if err := s.Note(key, value); err != nil {
			return err
		}
		return s.writeNotes()
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.replace(key, disk.Frame(value)); err != nil {
		return fmt.Errorf("put state %q: %w", key, err)
	}
	return nil
}

// replace writes a file. The caller holds writing.
// disk.Replace leaves the old content when it fails, so a full disk costs the news
// alone.
func (s *Files) replace(name string, data []byte) error {
	const page = 4096
	s.written.Add(uint64(len(data)+2*page-1) / page * page) // and its name, in the folder
	path := filepath.Join(s.dir, name)
	err := disk.Replace(path, data)
	if err == nil {
		return nil
	}
	// Something else may be in its place, a folder for instance.
	if info, e := os.Lstat(path); e != nil || info.Mode().IsRegular() {
		return err
	}
	s.setAside(name, err)
	return disk.Replace(path, data)
}

// Written returns how much was written since it was opened, in bytes, in whole pages. It
// does not wait.
func (s *Files) Written() uint64 { return s.written.Load() }

// Health implements [condition.Reporter]: what was damaged and set aside since
// the state was opened, and whether notes cannot be written.
func (s *Files) Health() []condition.Condition { return s.conditions.Health() }

// Close writes the notes that are not on disk yet. Afterwards nothing can be put
// or noted.
// After a kill what was noted in the last [NoteWithin] is lost, what was put is not.
func (s *Files) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.writeNotes()
}

// check reports what can never be taken.
func (s *Files) check(key string, value []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if s.readOnly {
		return fmt.Errorf("put state %q: it was opened for reading", key)
	}
	if len(value) > MaxValue {
		return fmt.Errorf("put state %q: %d bytes are more than %d", key, len(value), MaxValue)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("put state %q: it is closed", key)
	}
	return nil
}

// A key is a file's name: nothing in it leads out of the folder, or into our own names,
// which have a ~.
func checkKey(key string) error {
	for i := range len(key) {
		if c := key[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' && (c != '.' || i == 0) {
			return fmt.Errorf("state key %q: only a-z, 0-9, '.', '_' and '-' are allowed, and no '.' first", key)
		}
	}
	if key == "" || len(key) > 128 {
		return fmt.Errorf("state key %q: it must have 1 to 128 letters", key)
	}
	return nil
}
