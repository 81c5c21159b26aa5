// Package profiles has the devices that ship with the program: a YAML file each,
// with the points of one kind of device and, beside them, what it is and where its
// registers are told. README.md has the keys.
//
// A file is read when it is asked for the first time, and kept: a program that
// uses none of them pays for none.
package profiles

import (
	"embed"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"

	"fieldbridge/configs/tree"
)

//go:embed *.yaml
var files embed.FS

// Described are the keys of a profile that only tell people, and `modbus scan`,
// about it. They are no keys of a device.
var Described = []string{"about", "maker", "models", "source", "verified", "matches"}

// Profile is a kind of device.
type Profile struct {
	Name     string
	About    string
	Maker    string
	Models   []string // as the maker writes them
	Source   []string // where the registers are told: a document, or a file of a project and its commit
	Verified string   // by what: document, source or device
	Matches  []string // words that are all in what such a device says of itself; none where it is not known
	// Tree are the keys of a device, without what describes it. It is shared:
	// nobody changes it.
	Tree *tree.Node
}

// Names lists the profiles, sorted.
func Names() []string {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

var kept sync.Map // name to *Profile

// Find returns the profile of a name, nil if there is none.
func Find(name string) *Profile {
	if p, ok := kept.Load(name); ok {
		return p.(*Profile)
	}
	content, err := files.ReadFile(name + ".yaml")
	if err != nil || strings.ContainsAny(name, `/\`) {
		return nil
	}
	p, err := Parse(name, content)
	if err != nil {
		return nil // the test of all profiles tells why
	}
	kept.Store(name, p)
	return p
}

// For returns the profiles that are for a device which says these texts of itself
// and has these SunSpec models: all words of matches are in the texts, in small or
// large letters, or one of the models is there.
func For(said []string, models []int) []string {
	text := strings.ToLower(strings.Join(said, "\n"))
	var all []string
	for _, name := range Names() {
		if p := Find(name); p != nil && (p.matches(text) || p.hasModel(models)) {
			all = append(all, name)
		}
	}
	return all
}

func (p *Profile) matches(text string) bool {
	return len(p.Matches) > 0 && !slices.ContainsFunc(p.Matches, func(word string) bool {
		return !strings.Contains(text, strings.ToLower(word))
	})
}

func (p *Profile) hasModel(models []int) bool {
	return slices.ContainsFunc(texts(p.Tree.At("sunspec")), func(id string) bool {
		n, err := strconv.Atoi(id)
		return err == nil && slices.Contains(models, n)
	})
}

// Parse reads a profile.
func Parse(name string, content []byte) (*Profile, error) {
	root, problems := tree.Parse("shipped:profiles/"+name+".yaml", content)
	if len(problems) > 0 {
		return nil, tree.ErrorOf(problems...)
	}
	p := &Profile{Name: name, Tree: root.Without(Described...)}
	for key, to := range map[string]*string{"about": &p.About, "maker": &p.Maker, "verified": &p.Verified} {
		if n := root.At(key); n != nil {
			*to = n.Text
		}
	}
	p.Models, p.Source, p.Matches = texts(root.At("models")), texts(root.At("source")), texts(root.At("matches"))
	return p, nil
}

// texts returns a list of texts, or a text alone as one.
func texts(n *tree.Node) []string {
	switch {
	case n == nil:
		return nil
	case n.Kind == tree.Scalar:
		return []string{n.Text}
	}
	var all []string
	for _, item := range n.Items {
		all = append(all, item.Text)
	}
	return all
}
