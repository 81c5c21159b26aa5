package configs

import (
	"fmt"
	"maps"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// maxLabel is the most bytes of a label's value: it stands in topics, which AWS
// limits to 256 bytes.
const maxLabel = 128

// checkLabels returns what is wrong with the labels.
func (c *Config) checkLabels() []setting.Problem {
	var problems []setting.Problem
	for _, name := range slices.Sorted(maps.Keys(c.Labels)) {
		path := []string{"labels", name}
		switch value := c.Labels[name]; {
		case !bridge.ValidPoint(name):
			problems = append(problems, setting.Problem{Path: path, OnKey: true,
				Text: fmt.Sprintf("%q can't name a label", name), Fix: "use a-z, 0-9 and _, beginning with a letter"})
		case value == "" || len(value) > maxLabel:
			problems = append(problems, setting.Problem{Path: path,
				Text: fmt.Sprintf("label %s has %d bytes", name, len(value)), Fix: fmt.Sprintf("use 1 to %d", maxLabel)})
		}
	}
	return problems
}
