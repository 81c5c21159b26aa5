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

// checkLabels finds what is wrong with the labels.
func (c *Config) checkLabels(found *setting.Found) {
	for _, name := range slices.Sorted(maps.Keys(c.Labels)) {
		switch value := c.Labels[name]; {
		case !bridge.ValidPoint(name):
			*found = append(*found, setting.Problem{Path: []string{"labels", name}, OnKey: true,
				Text: fmt.Sprintf("%q cannot name a label", name), Fix: "use a-z, 0-9 and _, beginning with a letter"})
		case value == "" || len(value) > maxLabel:
			found.Add(fmt.Sprintf("label %s has %d bytes", name, len(value)), fmt.Sprintf("use 1 to %d", maxLabel),
				"labels", name)
		}
	}
}
