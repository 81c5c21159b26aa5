// Package bundle makes one file of a configuration, the YAML and all that it includes,
// and lays it out again on another machine. Secrets do not travel: a bundle names them
// by ${file:...}, which each gateway has itself.
//
// A bundle is JSON in gzip (RFC 1952). The same files make the same bytes.
package bundle

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of a bundle.
const (
	MaxBytes  = 1 << 20 // packed
	MaxFiles  = 1000    // what a configuration may include
	maxText   = 8 << 20 // bytes of all files
	maxPath   = 255     // bytes
	maxFolder = 16      // folders in a path
)

// Bundle is a configuration as it travels.
type Bundle struct {
	// Hash is the configuration's name in the catalogue: what a gateway that runs it
	// publishes. "" where it is not known before the gateway has its secrets.
	Hash string `json:"hash,omitempty"`
	// Main is the path of the file that is loaded; the others are what it includes.
	Main string `json:"main"`
	// Files are the texts, by their paths: with slashes, below one folder.
	Files map[string]string `json:"files"`
}

// Pack returns the bundle as one file, or why it may not travel.
func (b *Bundle) Pack() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(b.Files)) {
		if what := secretIn(b.Files[name]); what != "" {
			return nil, fmt.Errorf("%s holds %s: keep it in a file on the gateway, and name that", name, what)
		}
	}
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // a level that there is
	encode := json.NewEncoder(w)
	encode.SetEscapeHTML(false)
	if err := errors.Join(encode.Encode(b), w.Close()); err != nil {
		return nil, err
	}
	if packed.Len() > MaxBytes {
		return nil, fmt.Errorf("the configuration has %d bytes packed: %d are allowed", packed.Len(), MaxBytes)
	}
	return packed.Bytes(), nil
}

// Unpack reads a bundle. It takes no more memory than a few times what the largest
// bundle has.
func Unpack(packed []byte) (*Bundle, error) {
	if len(packed) > MaxBytes {
		return nil, fmt.Errorf("the bundle has %d bytes: %d are allowed", len(packed), MaxBytes)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("the bundle is damaged: %w", err)
	}
	limit := int64(2 * maxText) // escapes make it longer
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("the bundle is damaged: %w", err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("the bundle has more than %d MiB unpacked", limit>>20)
	}
	var b Bundle
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, fmt.Errorf("the bundle cannot be read: %w", err)
	}
	return &b, b.check()
}

func (b *Bundle) check() error {
	if len(b.Files) > MaxFiles {
		return fmt.Errorf("the bundle has %d files: %d are allowed", len(b.Files), MaxFiles)
	}
	if _, ok := b.Files[b.Main]; !ok {
		return fmt.Errorf("the bundle lacks its file %q", b.Main)
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(b.Files)) {
		if err := checkPath(name); err != nil {
			return err
		}
		for folder := path.Dir(name); folder != "."; folder = path.Dir(folder) {
			if _, ok := b.Files[folder]; ok {
				return fmt.Errorf("%q is a file and a folder of the bundle", folder)
			}
		}
		if !utf8.ValidString(b.Files[name]) {
			return fmt.Errorf("%s is not UTF-8", name)
		}
		total += len(b.Files[name])
	}
	if total > maxText {
		return fmt.Errorf("the files of the bundle have %d bytes: %d are allowed", total, maxText)
	}
	return nil
}

// checkPath takes what stays below a folder on every machine, and is YAML.
func checkPath(name string) error {
	hidden := slices.ContainsFunc(strings.Split(name, "/"), func(part string) bool { return strings.HasPrefix(part, ".") })
	odd := strings.ContainsFunc(name, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == utf8.RuneError || r == '\\'
	})
	switch {
	case !fs.ValidPath(name) || hidden || odd || !filepath.IsLocal(name):
		return fmt.Errorf("the path %q leads out of the bundle, or is none: it must be below the main file's folder", name)
	case len(name) > maxPath || strings.Count(name, "/") > maxFolder:
		return fmt.Errorf("the path %.40q... has more than %d bytes or %d folders", name, maxPath, maxFolder)
	case path.Ext(name) != ".yaml" && path.Ext(name) != ".yml":
		return fmt.Errorf("%q is not YAML: a bundle has .yaml and .yml alone", name)
	}
	return nil
}

// Secrets that a configuration may hold itself: all others are named by their files.
var (
	privateKey = regexp.MustCompile(`PRIVATE KEY-----`)
	userinfo   = regexp.MustCompile(`://[^/?#\s@'"$]*:[^/?#\s@'"$][^/?#\s@'"]*@`)
	pin        = regexp.MustCompile(`pin-value=[^&;\s'"$]`)
)

// secretIn returns what must not travel in a text, or "".
func secretIn(text string) string {
	switch {
	case privateKey.MatchString(text):
		return "a private key"
	case userinfo.MatchString(text):
		return "a password in a URL"
	case pin.MatchString(text):
		return "the PIN of a token"
	}
	return ""
}

// In reports whether a folder is as [Bundle.Write] leaves it, and returns the path of
// the main file.
func (b *Bundle) In(dir string) (main string, is bool) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", false
	}
	defer func() { _ = root.Close() }()
	n := 0
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := root.ReadFile(name)
		if want, ok := b.Files[name]; err != nil || !ok || want != string(text) {
			return errors.Join(err, fs.ErrInvalid)
		}
		n++
		return nil
	})
	return filepath.Join(dir, filepath.FromSlash(b.Main)), err == nil && n == len(b.Files)
}

// Write lays the bundle out in a folder that does not exist yet and returns the path
// of its main file. Nobody else can read it. What it wrote is on disk when it returns;
// on an error nothing of it is left.
func (b *Bundle) Write(dir string) (main string, err error) {
	if err := b.check(); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	folders := map[string]bool{".": true}
	for _, name := range slices.Sorted(maps.Keys(b.Files)) {
		if err = b.write(root, name, folders); err != nil {
			break
		}
	}
	for folder := range folders {
		if err == nil {
			err = syncFolder(root, folder)
		}
	}
	if err = errors.Join(err, root.Close()); err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.FromSlash(b.Main)), nil
}

func (b *Bundle) write(root *os.Root, name string, folders map[string]bool) error {
	for folder := path.Dir(name); folder != "."; folder = path.Dir(folder) {
		folders[folder] = true
	}
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(b.Files[name])
	return errors.Join(err, f.Sync(), f.Close())
}

func syncFolder(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
