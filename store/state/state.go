// Package state is the small durable memory of a gateway: learned plans, command
// ids, the connection number.
package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/store/disk"
)

// Files is a small durable memory: one file a key in a folder of its own, so
// that damage to one key harms no other. Each file is replaced whole: written
// beside, synced, renamed, and the folder synced. It is safe for concurrent use.
type Files struct {
	dir      string
	readOnly bool // see Read

	mu      sync.Mutex
	damaged []bridge.Condition // guarded by mu; what was set aside
}

var (
	_ bridge.State          = (*Files)(nil)
	_ bridge.HealthReporter = (*Files)(nil)
)

// MaxValue is the largest value that [Files.Put] takes, in bytes.
const MaxValue = 64 << 10

// Open opens the state in the folder "state" of dir, the folder of the
// queue, and makes it when it does not exist.
func Open(dir string) (*Files, error) {
	dir = filepath.Join(dir, "state")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	disk.RemoveLeftovers(dir)
	return &Files{dir: dir}, nil
}

// Read returns the state in the folder "state" of dir for reading, beside a
// gateway that may be running: nothing is made, changed or set aside. What does
// not exist or is damaged is as if it was never put.
func Read(dir string) *Files {
	return &Files{dir: filepath.Join(dir, "state"), readOnly: true}
}

// Get implements [bridge.State]. A damaged value is set aside under the name
// KEY~damaged, reported by [Files.Health], and is as if it was never put.
func (s *Files) Get(key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	path := filepath.Join(s.dir, key)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		value, ok := disk.Unframe(data)
		if ok {
			return value, nil
		}
		err = errors.New("its checksum is wrong")
	}
	if !s.readOnly {
		s.setAsideLocked(key, path, err)
	}
	return nil, nil
}

func (s *Files) setAsideLocked(key, path string, cause error) {
	text := fmt.Sprintf("state %q cannot be read and starts afresh: %v", key, cause)
	if err := os.Rename(path, path+"~damaged"); err != nil {
		text += "; it cannot be set aside: " + err.Error()
	}
	s.damaged = append(s.damaged, bridge.Condition{
		Severity: bridge.Warning, Subject: "state", Text: text + ": check the disk", Since: time.Now()})
}

// Put implements [bridge.State].
func (s *Files) Put(key string, value []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if s.readOnly {
		return fmt.Errorf("put state %q: it was opened for reading", key)
	}
	if len(value) > MaxValue {
		return fmt.Errorf("put state %q: %d bytes are more than %d", key, len(value), MaxValue)
	}
	data := disk.Frame(value)
	s.mu.Lock()
	defer s.mu.Unlock()
	path := filepath.Join(s.dir, key)
	if err := disk.Replace(path, data); err != nil {
		// Something else may be in its place, a folder for instance.
		if info, e := os.Lstat(path); e != nil || info.Mode().IsRegular() {
			return fmt.Errorf("put state %q: %w", key, err)
		}
		s.setAsideLocked(key, path, err)
		if err := disk.Replace(path, data); err != nil {
			return fmt.Errorf("put state %q: %w", key, err)
		}
	}
	return nil
}

// Health implements [bridge.HealthReporter]: what was damaged and set aside
// since the state was opened.
func (s *Files) Health() []bridge.Condition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.damaged)
}

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
