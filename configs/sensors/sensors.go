// Package sensors has the recipes of sensors that ship with the program: profiles
// of what they publish over MQTT, one YAML file each. README.md tells of them.
//
// A file is read when it is asked for the first time, and kept.
package sensors

import (
	"embed"
	"strings"
	"sync"

	"fieldbridge/configs/profiles"
	"fieldbridge/configs/tree"
)

//go:embed *.yaml
var files embed.FS

var kept sync.Map // name to *tree.Node

// Find returns a recipe without what describes it, nil if there is none. It is
// shared: nobody changes it.
func Find(name string) *tree.Node {
	if n, ok := kept.Load(name); ok {
		return n.(*tree.Node)
	}
	content, err := files.ReadFile(name + ".yaml")
	if err != nil || strings.ContainsAny(name, "/\\") {
		return nil
	}
	n, problems := tree.Parse("shipped:sensors/"+name+".yaml", content)
	if n == nil || len(problems) > 0 {
		return nil // the test of all recipes tells why
	}
	n = n.Without(profiles.Described...)
	kept.Store(name, n)
	return n
}

// Names lists the recipes, sorted.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}
