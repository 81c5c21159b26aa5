package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// fileRef is a file that the configuration names.
type fileRef struct {
	key  string
	path string
	at   Position
}

// missingFiles returns the files that can't be read now.
func (d *decoder) missingFiles() []Problem {
	var problems []Problem
	for _, f := range d.files {
		if text, fix := unreadable(f); text != "" {
			problems = append(problems, Problem{f.at, text, fix})
		}
	}
	return sortProblems(problems)
}

func unreadable(f fileRef) (text, fix string) {
	file, err := os.Open(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("%s %s does not exist", f.key, f.path), "put it there before 'fieldbridge run'"
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("%s %s: permission denied", f.key, f.path), "let the user who runs fieldbridge read it"
	case err != nil:
		return fmt.Sprintf("%s %s cannot be read: %s", f.key, f.path, cause(err)), "check it before 'fieldbridge run'"
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return fmt.Sprintf("%s %s is a folder", f.key, f.path), "name the file in it"
	}
	return "", ""
}

// checkQueueDir warns of a queue folder that can't be made or written.
func (l *Loaded) checkQueueDir() []Problem {
	at := l.Position("store", "dir")
	dir := string(l.Config.Store.Dir)
	for probe := dir; ; probe = filepath.Dir(probe) {
		info, err := os.Stat(probe)
		switch {
		case errors.Is(err, fs.ErrNotExist) && filepath.Dir(probe) != probe:
			continue
		case err != nil:
			return []Problem{{at, fmt.Sprintf("the queue's folder %s cannot be reached: %s", dir, cause(err)), "name a folder on a disk that keeps its data"}}
		case !info.IsDir():
			return []Problem{{at, fmt.Sprintf("%s is not a folder", probe), "name a folder for the queue"}}
		case syscall.Access(probe, 2) != nil: // W_OK, access(2)
			return []Problem{{at, fmt.Sprintf("%s cannot be written by this user", probe), "let the user who runs fieldbridge write there"}}
		}
		return nil
	}
}
