package kept

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// change makes changes while no other process makes any.
func (s *Store) change(f func() error) error {
	top, owner := s.owner()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	lock, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	return errors.Join(f(), give(top, owner))
}

// owner returns the first folder on the way to the store that is still to be made, or the
// store's, and whose property it is to be: root may work in the place of the gateway's
// user, who has the state directory, or the folder that it is made in. Nil is ours.
func (s *Store) owner() (top string, owner *syscall.Stat_t) {
	top = s.dir
	for above := filepath.Dir(top); os.Geteuid() == 0; top, above = above, filepath.Dir(above) {
		info, err := os.Stat(above)
		if errors.Is(err, fs.ErrNotExist) && above != filepath.Dir(above) {
			continue
		}
		if err == nil {
			owner, _ = info.Sys().(*syscall.Stat_t)
		}
		break
	}
	return top, owner
}

// give makes a folder with all in it the property of who is to have it.
func give(top string, owner *syscall.Stat_t) error {
	if owner == nil || owner.Uid == 0 {
		return nil
	}
	return filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(owner.Uid), int(owner.Gid))
	})
}

// do makes one change to the disk.
func (s *Store) do(what string, f func() error) error {
	if s.step != nil {
		if err := s.step(what); err != nil {
			return err
		}
	}
	return f()
}

// write writes a file of a folder, whole or not at all.
func (s *Store) write(folder, name string, data []byte) error {
	dir := filepath.Join(s.dir, folder)
	path := filepath.Join(dir, name)
	half := filepath.Join(dir, halfMade+name)
	err := s.do("write "+half, func() error {
		f, err := os.OpenFile(half, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return errors.Join(err, f.Sync(), f.Close())
	})
	if err != nil {
		return err
	}
	if err := s.do("rename "+path, func() error { return os.Rename(half, path) }); err != nil {
		return err
	}
	return s.do("sync "+dir, func() error { return syncDir(dir) })
}

func (s *Store) writeMeta(folder string, m *Meta) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return s.write(folder, metaFile, append(data, '\n'))
}

// link makes a link name a folder, in the place of another.
func (s *Store) link(name, folder string) error {
	half := filepath.Join(s.dir, halfMade+name)
	err := s.do("link "+half, func() error {
		if err := os.Remove(half); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Symlink(folder, half)
	})
	if err != nil {
		return err
	}
	return s.rename(halfMade+name, name)
}

func (s *Store) unlink(name string) error {
	if err := s.do("unlink "+name, func() error { return os.Remove(filepath.Join(s.dir, name)) }); err != nil {
		return err
	}
	return s.do("sync "+s.dir, func() error { return syncDir(s.dir) })
}

func (s *Store) rename(from, to string) error {
	err := s.do("rename "+to, func() error { return os.Rename(filepath.Join(s.dir, from), filepath.Join(s.dir, to)) })
	if err != nil {
		return err
	}
	return s.do("sync "+s.dir, func() error { return syncDir(s.dir) })
}

// remove removes what has that name. A folder loses its name first, so that none
// is half there.
func (s *Store) remove(name string) error {
	if !strings.HasPrefix(name, halfMade) {
		if err := s.rename(name, halfMade+name); err != nil {
			return err
		}
		name = halfMade + name
	}
	return s.do("remove "+name, func() error { return os.RemoveAll(filepath.Join(s.dir, name)) })
}

// drafts returns the folders that no link names.
func (s *Store) drafts() ([]string, error) {
	all, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	named := make(map[string]bool)
	for _, link := range []string{Current, Next, Previous} {
		name, err := s.target(link)
		if err != nil {
			return nil, err
		}
		named[name] = true
	}
	var names []string
	for _, e := range all {
		if e.IsDir() && !named[e.Name()] && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (s *Store) removeDrafts(way Way) error {
	names, err := s.drafts()
	for _, name := range names {
		if i, failed := s.read(name); failed == nil && i.isDraft(way) {
			err = errors.Join(err, s.remove(name))
		}
	}
	return err
}

// syncDir makes the names in a folder last over a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
