package store

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// simDisk is a disk with a cache: what was not synced may be missing or torn
// when the power is cut, lengths included. Names are safe when their folder was
// synced, and a folder's own name when the one above was.
type simDisk struct {
	dir     string              // is there
	names   map[string]*simFile // as programs see it
	durable map[string]*simFile // as it is after a cut
	pending []nameChange
}

// nameChange is one in a folder.
type nameChange struct {
	dir string
	do  func(map[string]*simFile)
}

type simFile struct {
	folder  bool
	now     []byte
	durable []byte
	pending []diskOp // writes and truncates since the last sync
}

func newSimDisk(dir string) *simDisk {
	root := &simFile{folder: true}
	return &simDisk{dir: dir, names: map[string]*simFile{dir: root}, durable: map[string]*simFile{dir: root}}
}

// load makes all that is in the folder durable.
func (d *simDisk) load(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(d.dir, func(path string, entry fs.DirEntry, err error) error {
		f := &simFile{folder: err == nil && entry.IsDir()}
		if err == nil && !f.folder {
			f.durable, err = os.ReadFile(path)
			f.now = slices.Clone(f.durable)
		}
		d.names[path], d.durable[path] = f, f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func apply(b []byte, op diskOp) []byte {
	if op.what == "truncate" {
		if int(op.offset) <= len(b) {
			return b[:op.offset]
		}
		return append(b, make([]byte, int(op.offset)-len(b))...)
	}
	if end := int(op.offset) + len(op.data); end > len(b) {
		b = append(b, make([]byte, end-len(b))...)
	}
	copy(b[op.offset:], op.data)
	return b
}

func (d *simDisk) do(op diskOp) {
	change := func(f func(map[string]*simFile)) {
		f(d.names)
		d.pending = append(d.pending, nameChange{filepath.Dir(op.path), f})
	}
	f := d.names[op.path]
	switch op.what {
	case "open":
		if f == nil {
			made := &simFile{}
			change(func(m map[string]*simFile) { m[op.path] = made })
		} else if op.offset == -1 {
			f.write(diskOp{what: "truncate"})
		}
	case "mkdir":
		made := &simFile{folder: true}
		change(func(m map[string]*simFile) { m[op.path] = made })
	case "write", "truncate":
		if f != nil {
			if op.offset == -1 {
				op.offset = int64(len(f.now))
			}
			f.write(op)
		}
	case "sync":
		if f != nil && f.folder {
			d.pending = slices.DeleteFunc(d.pending, func(c nameChange) bool {
				if c.dir == op.path {
					c.do(d.durable)
				}
				return c.dir == op.path
			})
		} else if f != nil {
			f.durable, f.pending = slices.Clone(f.now), nil
		}
	case "rename":
		change(func(m map[string]*simFile) {
			delete(m, op.path)
			if f != nil {
				m[op.to] = f
			}
		})
	case "unlink":
		change(func(m map[string]*simFile) { delete(m, op.path) })
	}
}

func (f *simFile) write(op diskOp) {
	f.now = apply(f.now, op)
	f.pending = append(f.pending, op)
}

// cut writes to the folder to what the disk may hold after a cut right now.
func (d *simDisk) cut(t *testing.T, rnd *rand.Rand, to string) {
	t.Helper()
	names := d.namesAfter(rnd)
	for _, path := range slices.Sorted(maps.Keys(names)) { // in order, that a seed says all
		name, err := filepath.Rel(d.dir, path)
		if err != nil {
			t.Fatal(err)
		}
		f := names[path]
		content := f.after(rnd)
		if !d.reached(names, path) {
			continue // its folder is gone
		}
		if f.folder {
			err = os.MkdirAll(filepath.Join(to, name), 0o700)
		} else {
			err = os.WriteFile(filepath.Join(to, name), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// reached reports whether all folders above path are there.
func (d *simDisk) reached(names map[string]*simFile, path string) bool {
	for path != d.dir {
		path = filepath.Dir(path)
		if f := names[path]; f == nil || !f.folder {
			return false
		}
	}
	return true
}

// namesAfter returns the names after a cut: the journal of names is in order, on
// some file systems for each folder on its own.
func (d *simDisk) namesAfter(rnd *rand.Rand) map[string]*simFile {
	names := maps.Clone(d.durable)
	most := rnd.IntN(len(d.pending) + 1)
	if rnd.IntN(2) == 0 {
		for _, c := range d.pending[:most] {
			c.do(names)
		}
		return names
	}
	left := map[string]int{}
	for _, c := range d.pending {
		left[c.dir]++
	}
	for _, dir := range slices.Sorted(maps.Keys(left)) {
		left[dir] = rnd.IntN(left[dir] + 1)
	}
	for _, c := range d.pending {
		if left[c.dir]--; left[c.dir] >= 0 {
			c.do(names)
		}
	}
	return names
}

// after returns what of a file is there: all of what was not synced, none, each by
// chance, or torn pieces of it.
func (f *simFile) after(rnd *rand.Rand) []byte {
	b := slices.Clone(f.durable)
	how := rnd.IntN(4)
	for _, op := range f.pending {
		switch {
		case how == 0, how >= 2 && op.what == "truncate" && rnd.IntN(2) == 0, how == 2 && rnd.IntN(2) == 0:
			b = apply(b, op)
		case how == 3 && op.what == "write":
			for at := 0; at < len(op.data); at += 512 {
				if rnd.IntN(2) == 0 {
					piece := diskOp{what: "write", offset: op.offset + int64(at), data: op.data[at:min(at+512, len(op.data))]}
					b = apply(b, piece)
				}
			}
		}
	}
	return b
}
