package configs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"fieldbridge/configs/advice"
	"fieldbridge/configs/tree"
	"fieldbridge/setting"
)

// fileRef is a file that the configuration names.
type fileRef struct {
	key  string
	path setting.Path
	at   tree.Position
}

// absentFiles returns the files that cannot be read now.
func (d *decoder) absentFiles() []tree.Problem {
	var problems []tree.Problem
	for _, f := range d.files {
		if text, fix := unreadable(f); text != "" {
			problems = append(problems, tree.NewProblem(f.at, text, fix))
		}
	}
	return problems
}

func unreadable(f fileRef) (text, fix string) {
	err := f.path.Check()
	switch {
	case err == nil:
		return "", ""
	case errors.Is(err, fs.ErrNotExist) && setting.IsReference(string(f.path)):
		return fmt.Sprintf("%s %s does not exist", f.key, f.path),
			"what ${...} holds must be the path of a file; or write the path itself"
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("%s %s does not exist", f.key, f.path),
			"put it there: 'fieldbridge run' polls without it, and waits for it"
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("%s %s: permission denied", f.key, f.path), "let the user who runs fieldbridge read it"
	case errors.Is(err, syscall.EISDIR):
		return fmt.Sprintf("%s %s is a folder", f.key, f.path), "name the file in it"
	case errors.Is(err, setting.ErrUTF16):
		return fmt.Sprintf("%s %s is UTF-16", f.key, f.path), setting.FixUTF16
	}
	return fmt.Sprintf("%s %s cannot be read: %s", f.key, f.path, cause(err)), "check the disk and the name"
}

// secretKeys name files that nobody but their owner, and a group that reads, has
// business with.
var secretKeys = []string{"private_key", "password_file", "proxy_password_file", "token_file"}

// looseFiles warns of secrets that others on the machine can read or change.
func (d *decoder) looseFiles() []tree.Problem {
	var problems []tree.Problem
	for _, f := range d.files {
		if !slices.Contains(secretKeys, f.key) || setting.IsPEM(string(f.path)) {
			continue
		}
		if info, err := f.path.Stat(); err == nil && info != nil && info.Mode().Perm()&^0o640 != 0 {
			problems = append(problems, tree.NewProblem(f.at,
				fmt.Sprintf("%s %s is open to others on this machine (mode %#o)", f.key, f.path, info.Mode().Perm()),
				"chmod 600 it, or 640 for a group that may read it"))
		}
	}
	return problems
}

// checkQueueDir judges the queue's folder.
func (l *Loaded) checkQueueDir() (wrong, warnings []tree.Problem) {
	text, fix, impossible := advice.QueueDir(string(l.Config.Store.Dir))
	p := []tree.Problem{tree.NewProblem(l.Position("store", "dir"), text, fix)}
	switch {
	case text == "":
		return nil, nil
	case impossible:
		return p, nil
	}
	return nil, p
}

// maxFile is far above what a fleet of thousands of gateways needs, and keeps a
// wrong file name (a disk image, a log) from filling the memory.
const maxFile = 16 << 20

// readFile returns what a file has, or the problem at a place that names it.
func readFile(file string, at tree.Position) ([]byte, *tree.Problem) {
	refuse := func(text, fix string) ([]byte, *tree.Problem) {
		p := tree.NewProblem(at, text, fix)
		return nil, &p
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would wait for its other end
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refuse("no such file", fixNoFile)
	case errors.Is(err, fs.ErrPermission):
		return refuse("permission denied", "let the user who runs fieldbridge read it (ls -l shows who may)")
	case err != nil:
		return refuse("cannot be opened: "+cause(err), "check the name")
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	switch {
	case err == nil && info.IsDir():
		return refuse("is a folder", "name the YAML file in it")
	case err == nil && !info.Mode().IsRegular():
		return refuse("is not a regular file", "name a file on a disk: pipes and devices are not read")
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return refuse("cannot be read: "+cause(err), "check the disk")
	}
	if len(content) > maxFile {
		return refuse("is larger than 16 MiB",
			"check that this is the configuration; a fleet so large can be split with include")
	}
	return content, nil
}

// fixNoFile is for a file that is not there.
const fixNoFile = "check the name, or write a first one with: fieldbridge init"

// cause strips the operation and file name that the line already names.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
