package store

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

// formatVersion is the version of the folder's layout. A newer one is refused, and
// an older one is read. Version 2 has blocks of version 2.
const formatVersion = 2

const metaFile = "meta"

// NewerFormatError is why [Open] refuses a folder that a newer program wrote.
type NewerFormatError struct {
	Dir    string
	Format int
}

func (e *NewerFormatError) Error() string {
	return fmt.Sprintf("open queue %s: its format is version %d, this program knows %d: it is left as it is; "+
		"run the newer program, or give this one another folder", e.Dir, e.Format, formatVersion)
}

// readMeta returns the meta file's content; found is false when there is none.
func readMeta(dir string) (m books.Index, found bool, err error) {
	data, err := os.ReadFile(filepath.Join(dir, metaFile))
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
	if m.Format > formatVersion {
		return m, true, &NewerFormatError{dir, m.Format}
	}
	return m, true, nil
}

// writeMeta replaces the meta file and returns the bytes written.
func writeMeta(dir string, m books.Index) (int, error) {
	value, err := json.Marshal(m)
	if err != nil {
		return 0, fmt.Errorf("write queue index: %w", err)
	}
	data := disk.Frame(value)
	if err := disk.Replace(filepath.Join(dir, metaFile), data); err != nil {
		return 0, fmt.Errorf("write queue index: %w", err)
	}
	return len(data), nil
}
