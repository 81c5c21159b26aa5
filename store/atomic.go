package store

import (
	"hash/crc32"
	"os"
	"path/filepath"
)

// temporary ends the names of files that are not yet what they will be. What is
// found under such a name at start is left from a crash and worth nothing.
const temporary = ".tmp~"

// castagnoli is the polynomial of the checksums.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// replaceFile puts data at path so that after a power cut there is either the
// old or the new content: written beside, synced, renamed, folder synced.
func replaceFile(path string, data []byte) error {
	tmp := path + temporary
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
