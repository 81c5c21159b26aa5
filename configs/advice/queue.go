package advice

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"fieldbridge/setting"
	"fieldbridge/store/disk"
)

// QueueHere says what is wrong with the file system of a queue's folder, by look.
func QueueHere(dir string, look func(dir string) disk.Place) (found setting.Found) {
	if p := look(dir); !p.Closed() {
		if text, fix := p.Tell(dir); text != "" {
			found.Warn(text, fix, "dir")
		}
	}
	return found
}

// QueueRefused says why a queue's folder cannot be made or written by who asks, by
// look and by a try where the folder is there; root may do all that a mode forbids.
func QueueRefused(dir string, look func(dir string) disk.Place) (found setting.Found) {
	probe := dir
	for ; ; probe = filepath.Dir(probe) {
		_, err := os.Stat(probe)
		if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(probe) == probe {
			break
		}
		if to, err := os.Readlink(probe); err == nil {
			found.Add(fmt.Sprintf("the queue's folder cannot be %s: %s is a link to %s, which is not there", dir, probe, to),
				"make that folder, or name another", "dir")
			return found
		}
	}
	if p := look(dir); p.Closed() {
		text, fix := p.Tell(dir)
		found.Add(text, fix, "dir")
		return found
	}
	info, err := os.Stat(probe)
	switch {
	case errors.Is(err, fs.ErrPermission):
		found.Add(fmt.Sprintf("the queue's folder %s cannot be reached by this user", dir), letIn, "dir")
	case err != nil:
		found.Add(fmt.Sprintf("the queue's folder %s cannot be reached: %s", dir, bare(err)),
			"name a folder on a disk that keeps its data", "dir")
	case !info.IsDir(): // QueueDir says so
	case syscall.Access(probe, entered) != nil:
		found.Add(probe+" cannot be written by this user", letIn, "dir")
	case probe == dir:
		if err := tried(dir); err != nil {
			found.Add(fmt.Sprintf("nothing can be written in the queue's folder %s: %s", dir, bare(err)),
				"name a folder on a disk that keeps its data", "dir")
		}
	}
	return found
}

// letIn is what to do where the mode of a folder keeps this user out.
const letIn = "let the user who runs fieldbridge write there, and check the file as that user"

// entered is W_OK and X_OK of access(2).
const entered = 2 | 1

// tried makes a file in dir and removes it.
func tried(dir string) error {
	f, err := os.CreateTemp(dir, ".check-*")
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil // it is full now
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// QueueDir says what is wrong with a queue's folder on any machine, "" if nothing is.
// It cannot be one where a file stands in its way, whoever runs the gateway.
func QueueDir(dir string) (text, fix string, impossible bool) {
	for probe := dir; ; probe = filepath.Dir(probe) {
		info, err := os.Stat(probe)
		switch {
		case (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)) && filepath.Dir(probe) != probe:
			continue
		case err != nil: // QueueRefused says so
			return "", "", false
		case !info.IsDir():
			return fmt.Sprintf("the queue's folder cannot be %s: %s is a file", dir, probe),
				"name a folder, which is made if it is not there", true
		case probe == dir && info.Mode().Perm()&0o022 != 0:
			return fmt.Sprintf("others on this machine can change the queue's folder %s (mode %#o)", dir, info.Mode().Perm()),
				"chmod 700 it", false
		}
		return "", "", false
	}
}

// bare strips the operation and file name that the sentence already names.
func bare(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
