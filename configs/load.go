package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"strings"

	"fieldbridge/bridge/setting"
)

// Loaded is a configuration without errors.
type Loaded struct {
	Config Config
	// Warnings are what works but is probably not meant.
	Warnings []Problem
	// Missing are files that the configuration names and that can't be read now:
	// a warning while it is written, an error when it shall run.
	Missing []Problem
	// Hash names the content: 16 hexadecimal digits that change with it.
	Hash string

	root *node
}

// Load reads and checks a file. The error is an [*Error] with everything that is
// wrong.
func Load(file string) (*Loaded, error) {
	content, ferr := readFile(file)
	if ferr != nil {
		return nil, newError([]Problem{{Position{File: file}, ferr.text, ferr.fix}})
	}
	return Parse(file, content)
}

// Parse is [Load] for content that is at hand. file is what positions name and
// what paths are relative to.
func Parse(file string, content []byte) (*Loaded, error) {
	root, problems := parse(file, content)
	if root == nil {
		return nil, newError(problems)
	}
	l := &Loaded{Hash: hashOf(content), root: root}
	return l, l.fill(problems)
}

func hashOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:8])
}

// fill decodes and validates the tree.
func (l *Loaded) fill(problems []Problem) error {
	d := decoder{problems: problems}
	v := reflect.ValueOf(&l.Config).Elem()
	setDefaults(v)
	d.object(l.root, v, place{key: l.root.pos})
	l.resolveDefaults()
	for _, p := range l.Config.Validate() {
		at, near := l.root.find(p.Path, p.OnKey)
		if p.Warning {
			l.Warnings = append(l.Warnings, Problem{at, p.Text, p.Fix})
			continue
		}
		if d.explains(p.Path) {
			continue
		}
		if !near {
			p.Text = strings.Join(p.Path[:len(p.Path)-1], ".") + ": " + p.Text
		}
		d.problems = append(d.problems, Problem{at, p.Text, p.Fix})
	}
	if err := newError(d.problems); err != nil {
		return err
	}
	l.Missing = d.missingFiles()
	l.Warnings = sortProblems(append(l.Warnings, l.checkQueueDir()...))
	return nil
}

// Position returns where the value at path stands, or the innermost key of path
// that the file has.
func (l *Loaded) Position(path ...string) Position {
	at, _ := l.root.find(path, false)
	return at
}

// resolveDefaults makes paths that the file does not give relative to it, as if
// it did.
func (l *Loaded) resolveDefaults() {
	if l.root.at("store", "dir") == nil {
		l.Config.Store.Dir = setting.Path(resolve(l.root.pos.File, string(l.Config.Store.Dir)))
	}
}
