package folder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"fieldbridge/store/block"
	"fieldbridge/store/books"
	"fieldbridge/store/disk"
)

// Version is the version of the folder's layout. A newer one is refused, and
// an older one is read. Version 2 has blocks of version 2.
const Version = 2

// IndexFile is the name of the index.
const IndexFile = "meta"

// NewerFormatError is why a folder is refused that a newer program wrote.
// Going on would write blocks that the newer program may take for damage.
type NewerFormatError struct {
	Dir    string
	Format int
}

// Error implements error.
func (e *NewerFormatError) Error() string {
	return fmt.Sprintf("open queue %s: its format is version %d, this program knows %d: it is left as it is; "+
		"run the newer program, or give this one another folder", e.Dir, e.Format, Version)
}

// ReadIndex returns the index's content; found is false when there is none.
// An index that is damaged or missing loses no reading: the queue reads its segments
// instead, which takes as long as reading all of them.
func ReadIndex(dir string) (m books.Index, found bool, err error) {
	data, err := os.ReadFile(filepath.Join(dir, IndexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, true, err
	}
	value, ok := disk.Unframe(data)
	if !ok {
		return m, true, block.ErrChecksum
	}
	if err := json.Unmarshal(value, &m); err != nil {
		return books.Index{}, true, err
	}
	if m.Format > Version {
		return m, true, &NewerFormatError{dir, m.Format}
	}
	return m, true, nil
}

// WriteIndex replaces the index and returns the bytes written.
// After an error, and after a power cut, there is the old index or the new one.
func WriteIndex(dir string, m books.Index) (int, error) {
	value, err := json.Marshal(m)
	if err != nil {
		return 0, fmt.Errorf("write queue index: %w", err)
	}
	data := disk.Frame(value)
	if err := disk.Replace(filepath.Join(dir, IndexFile), data); err != nil {
		return 0, fmt.Errorf("write queue index: %w", err)
	}
	return len(data), nil
}
