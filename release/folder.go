package release

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Folder is where releases are kept. Its methods may be called by several processes
// at a time.
type Folder struct {
	Dir      string // of the releases; made when the first one comes
	Packaged string // the version of the packaged program
	Roots    Roots
	// Running is the version of the release that this process is, "" for the packaged
	// program.
	Running string
}

// The files of a release, in a folder of its own.
const (
	Program       = "fieldbridge"
	ManifestFile  = "release.json"
	SignatureFile = "release.json.minisig"
)

// RefusedError is why a release will never run here, however often it is sent.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return e.Why }

func refuse(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// Open returns the folder of releases, given the version of this program and its root
// keys; nil where the service manager names no folder for state ($STATE_DIRECTORY,
// systemd.exec(5)). self is where the packaged program lies.
func Open(version, roots string) (f *Folder, self string, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	packaged, self := Launched()
	dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	if dir == "" {
		return nil, cmp.Or(self, program), nil
	}
	keys, err := ParseRoots(roots)
	if err != nil {
		return nil, cmp.Or(self, program), err
	}
	f = &Folder{Dir: filepath.Join(dir, "releases"), Packaged: version, Roots: keys}
	if self == "" || filepath.Dir(filepath.Dir(program)) != f.Dir {
		return f, program, nil
	}
	f.Packaged, f.Running = packaged, filepath.Base(filepath.Dir(program))
	return f, self, nil
}

// Check says why a release would not be taken, before it is fetched: its signature,
// its processor, its version, the disk. A [RefusedError] will not change.
func (f *Folder) Check(manifest []byte, signature string) (Manifest, error) {
	m, err := f.Roots.Read(manifest, signature)
	if err == nil {
		err = m.fits()
	}
	if err != nil {
		return m, &RefusedError{err.Error()}
	}
	s, err := f.Slots()
	if err != nil && !errors.Is(err, ErrDamaged) {
		return m, err
	}
	if err := f.may(&s, m.Version); err != nil {
		return m, err
	}
	switch {
	case m.Version == f.Packaged:
		return m, nil
	case f.Has(m):
		return m, f.room(0)
	}
	return m, f.room(m.Size)
}

// ErrRuns is that a version runs already.
var ErrRuns = errors.New("this release runs already")

// Runs returns the version that this process is.
func (f *Folder) Runs() string { return cmp.Or(f.Running, f.Packaged) }

// Has reports whether a release need not be fetched: it is staged, or packaged.
func (f *Folder) Has(m Manifest) bool {
	if m.Version == f.Packaged {
		return true
	}
	kept, err := f.verify(m.Version)
	return err == nil && strings.EqualFold(kept.SHA256, m.SHA256)
}

// may says why a version may not be tried.
func (f *Folder) may(s *Slots, version string) error {
	why, bad := s.IsBad(version)
	switch {
	case bad:
		return refuse("release %s has failed here and is not tried again: %s", version, why)
	case version == f.Runs() && s.Trial == nil:
		return fmt.Errorf("%w: %s", ErrRuns, version)
	case Compare(version, s.Floor) < 0:
		return refuse("release %s is older than %s, the oldest that may run here", version, s.Floor)
	case !isVersion(f.Packaged):
		return refuse("the packaged program (%s) is of no release, so none takes its place", f.Packaged)
	case version != f.Packaged && Compare(version, f.Packaged) <= 0:
		return refuse("release %s is older than the packaged program, %s: install an older package", version, f.Packaged)
	case s.Trial != nil && s.Trial.Version != version:
		return fmt.Errorf("release %s is on trial: wait for its end", s.Trial.Version)
	}
	return nil
}

// noexec is ST_NOEXEC of statfs(2).
const noexec = 8

// room says why the disk does not take a program of size bytes, which must be there
// twice, as it comes and as it is kept, or lets none run.
func (f *Folder) room(size int64) error {
	dir := f.Dir
	var fs syscall.Statfs_t
	err := syscall.Statfs(dir, &fs)
	if errors.Is(err, syscall.ENOENT) {
		dir = filepath.Dir(dir)
		err = syscall.Statfs(dir, &fs)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if fs.Flags&noexec != 0 {
		return fmt.Errorf("%s lies on a file system from which no program runs (noexec): updates must come as packages", dir)
	}
	if free := int64(fs.Bavail) * int64(fs.Bsize); free < 2*size {
		return fmt.Errorf("%s has %d KiB left, and a release of this size needs %d KiB", dir, free>>10, 2*size>>10)
	}
	return nil
}

// Stage checks a release, and puts it into the folder. Nothing is tried yet; the
// same again changes nothing. A [RefusedError] will not change.
func (f *Folder) Stage(manifest []byte, signature string, program io.Reader) (Manifest, error) {
	m, err := f.Check(manifest, signature)
	if err != nil {
		return m, err
	}
	if f.Has(m) {
		return m, nil
	}
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return m, err
	}
	if err := f.mine(f.Dir); err != nil {
		return m, err
	}
	// What a power cut left half written takes the room that this one needs.
	if err := f.change(func(s *Slots) error { f.prune(s); return nil }); err != nil {
		return m, err
	}
	part, err := os.MkdirTemp(f.Dir, ".new-*")
	if err != nil {
		return m, err
	}
	defer func() { _ = os.RemoveAll(part) }()
	if err := copyProgram(filepath.Join(part, Program), program, &m); err != nil {
		return m, err
	}
	if err := errors.Join(replace(filepath.Join(part, ManifestFile), manifest, 0o400),
		replace(filepath.Join(part, SignatureFile), []byte(signature), 0o400)); err != nil {
		return m, err
	}
	if err := os.RemoveAll(f.path(m.Version)); err != nil { // what did not pass before
		return m, err
	}
	if err := os.Rename(part, f.path(m.Version)); err != nil {
		return m, err
	}
	return m, errors.Join(syncDir(f.Dir), syncDir(filepath.Dir(f.Dir)))
}

// copyProgram writes a program to path, if it is what the manifest says.
func copyProgram(path string, program io.Reader, m *Manifest) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o500)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // the second time after all went well
	if _, err := io.Copy(file, io.LimitReader(program, m.Size+1)); err != nil {
		return err
	}
	if err := isProgram(file, m); err != nil {
		return &RefusedError{err.Error()}
	}
	return errors.Join(file.Sync(), file.Close())
}

// isProgram says why an open file is not the program of a manifest.
func isProgram(file *os.File, m *Manifest) error {
	info, err := file.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Size() != m.Size:
		return fmt.Errorf("the program of release %s has not the %d bytes of its manifest", m.Version, m.Size)
	}
	head := make([]byte, elfHeader)
	if _, err := file.ReadAt(head, 0); err != nil {
		return err
	}
	if err := checkELF(head, runtime.GOARCH); err != nil {
		return fmt.Errorf("the program of release %s: %w", m.Version, err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(file, 0, m.Size)); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != strings.ToLower(m.SHA256) {
		return fmt.Errorf("the program of release %s has another SHA-256 than its manifest", m.Version)
	}
	return nil
}

// verify returns the manifest of a release that may be executed, or why it may not.
func (f *Folder) verify(version string) (Manifest, error) {
	var m Manifest
	for _, path := range []string{f.Dir, f.path(version), f.path(version, Program)} {
		if err := f.mine(path); err != nil {
			return m, err
		}
	}
	text, err := readBounded(f.path(version, ManifestFile), maxManifest)
	if err != nil {
		return m, err
	}
	signature, err := readBounded(f.path(version, SignatureFile), maxManifest)
	if err != nil {
		return m, err
	}
	if m, err = f.Roots.Read(text, string(signature)); err != nil {
		return m, err
	}
	if m.Version != version {
		return m, fmt.Errorf("the folder of release %s holds %s", version, m.Version)
	}
	if err := m.fits(); err != nil {
		return m, err
	}
	file, err := os.Open(f.path(version, Program))
	if err != nil {
		return m, err
	}
	defer func() { _ = file.Close() }()
	return m, isProgram(file, &m)
}

// mine says why what lies at path must not be executed: another user may write it.
// For root that is anyone but root.
func (f *Folder) mine(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode()&os.ModeSymlink != 0:
		return fmt.Errorf("%s is a link", path)
	case !known || owner.Uid != 0 && int(owner.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user than the one that runs the gateway", path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s may be written by other users: 'chmod go-w' takes that away", path)
	}
	return nil
}

// executable says why a version must not be executed.
func (f *Folder) executable(version string) error {
	if version == f.Packaged {
		return nil // it is what decides
	}
	_, err := f.verify(version)
	return err
}

// Begin puts a staged release on trial, or the packaged program, where a release has
// taken its place: the next [Folder.Launch] runs it. before is how the gateway is now,
// as JSON, for whoever judges the trial.
func (f *Folder) Begin(version string, before any) error {
	noted, err := json.Marshal(before)
	if err != nil {
		return err
	}
	if err := f.executable(version); err != nil {
		return err
	}
	return f.change(func(s *Slots) error {
		if err := f.may(s, version); err != nil {
			return err
		}
		if s.Trial == nil {
			s.Trial = &Trial{Version: version, Begun: time.Now().UTC(), Before: noted}
		}
		f.prune(s)
		return nil
	})
}

// ErrNoTrial is that no release is on trial.
var ErrNoTrial = errors.New("no release is on trial")

// Commit makes the release on trial the one that runs. Nothing undoes it.
func (f *Folder) Commit(version string) error {
	var m Manifest
	if version != f.Packaged {
		var err error
		if m, err = f.verify(version); err != nil {
			return err
		}
	}
	return f.change(func(s *Slots) error {
		if s.Trial == nil || s.Trial.Version != version {
			return ErrNoTrial
		}
		s.end("", time.Now())
		if version == f.Packaged {
			s.Current = ""
		}
		if Compare(m.Floor, s.Floor) > 0 {
			s.Floor = m.Floor
		}
		f.prune(s)
		return nil
	})
}

// Reject ends the trial of a release: it is never tried again. The next
// [Folder.Launch] runs what ran before.
func (f *Folder) Reject(version, why string) error {
	return f.change(func(s *Slots) error {
		if s.Trial == nil || s.Trial.Version != version {
			return ErrNoTrial
		}
		s.reject(why, time.Now())
		return nil
	})
}

// Withdraw ends the trial of a release that could not be started. It may be tried again.
func (f *Folder) Withdraw(version, why string) error {
	return f.change(func(s *Slots) error {
		if s.Trial == nil || s.Trial.Version != version {
			return ErrNoTrial
		}
		s.end(why, time.Now())
		return nil
	})
}

// Rollback ends the trial, or without one leaves the release that runs for the one
// before it. What is left is never tried again. It returns its version.
func (f *Folder) Rollback(why string) (left string, err error) {
	err = f.change(func(s *Slots) error {
		if s.Trial == nil {
			if s.Current == "" {
				return errors.New("the packaged program runs, and there is none before it")
			}
			s.Trial = &Trial{Version: s.Current}
			s.Current, s.Previous = s.Previous, ""
			if Compare(s.Current, s.Floor) < 0 {
				s.Current = ""
			}
		}
		left = s.Trial.Version
		s.reject(why, time.Now())
		return nil
	})
	return left, err
}
