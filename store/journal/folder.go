package journal

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"fieldbridge/store/disk"
)

// What a configuration may say instead of a folder.
const (
	Auto = "auto"
	Off  = "off"
)

var errNowhere = errors.New("there is no runtime directory: $RUNTIME_DIRECTORY and $XDG_RUNTIME_DIR are not set")

// Folder returns the folder that a configuration means, "" for none. Auto is what
// systemd gives the unit (RuntimeDirectory=), else /run/fieldbridge for root, else
// a folder in $XDG_RUNTIME_DIR.
func Folder(setting string) (string, error) {
	switch setting {
	case Off, "":
		return "", nil
	case Auto:
	default:
		return setting, nil
	}
	if dir, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":"); dir != "" {
		return dir, nil
	}
	if os.Geteuid() == 0 {
		return "/run/fieldbridge", nil
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "fieldbridge"), nil
	}
	return "", errNowhere
}

// Usable reports why there will be no journal with a setting, nil if there will
// be one or none is asked for. Nothing is made.
func Usable(setting string) error {
	dir, err := Folder(setting)
	if err != nil || dir == "" {
		return err
	}
	err = Check(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = Check(filepath.Dir(dir))
	}
	return err
}

// idFile is the file in the queue's folder that names the queue.
const idFile = "id"

// identity is its content.
type identity struct {
	Queue [16]byte `json:"-"`
	ID    string   `json:"queue"`
	// Path is where the journal was last: it is looked for there, too, if the
	// setting changes before what it holds is on disk.
	Path string `json:"journal,omitempty"`
}

// readIdentity returns the queue's id; ok is false when it has none.
func readIdentity(queueDir string) (id identity, ok bool) {
	data, err := os.ReadFile(filepath.Join(queueDir, idFile))
	if err != nil {
		return id, false
	}
	value, ok := disk.Unframe(data)
	if !ok || json.Unmarshal(value, &id) != nil {
		return identity{}, false
	}
	n, err := hex.Decode(id.Queue[:], []byte(id.ID))
	return id, err == nil && n == len(id.Queue) && len(id.ID) == 2*n
}

// identify returns the id of a queue, which it makes durable if there is none or
// the journal's path is a new one.
func identify(queueDir, dir string) (identity, error) {
	id, ok := readIdentity(queueDir)
	if !ok {
		rand.Read(id.Queue[:]) // never fails
		id = identity{Queue: id.Queue, ID: hex.EncodeToString(id.Queue[:])}
	}
	if path := id.in(dir); !ok || id.Path != path {
		id.Path = path
		value, err := json.Marshal(id)
		if err != nil {
			return id, err
		}
		if err := disk.Replace(filepath.Join(queueDir, idFile), disk.Frame(value)); err != nil {
			return id, fmt.Errorf("name the queue: %w", err)
		}
	}
	return id, nil
}

// in returns the path of the queue's journal in a folder: several gateways share one.
func (id *identity) in(dir string) string { return filepath.Join(dir, "queue-"+id.ID+".journal") }
