// Package labels is what may be said of a gateway: where it is, or whose.
package labels

import (
	"fmt"
	"maps"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/setting"
)

// most is the most bytes of a label's value: it stands in topics, which AWS
// limits to 256 bytes.
const most = 128

// Validate returns what is wrong with labels, by name.
func Validate(labels map[string]string) (found setting.Found) {
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		switch value := labels[name]; {
		case !bridge.ValidPoint(name):
			found = append(found, setting.Problem{Path: []string{name}, OnKey: true,
				Text: fmt.Sprintf("%q cannot name a label", name), Fix: "use a-z, 0-9 and _, beginning with a letter"})
		case value == "" || len(value) > most:
			found.Add(fmt.Sprintf("label %s has %d bytes", name, len(value)), fmt.Sprintf("use 1 to %d", most),
				name)
		}
	}
	return found
}
