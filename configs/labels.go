package configs

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"fieldbridge/bridge"
	"fieldbridge/bridge/setting"
)

var labelText = regexp.MustCompile(`\{label\.([^{}]*)\}`)

// maxLabel is the most bytes of a label's value: it stands in topics, which AWS
// limits to 256 bytes.
const maxLabel = 128

// fillLabels checks the labels and puts them where topics name them.
func (c *Config) fillLabels() []setting.Problem {
	var problems []setting.Problem
	for _, name := range slices.Sorted(maps.Keys(c.Labels)) {
		path := []string{"labels", name}
		switch value := c.Labels[name]; {
		case !bridge.ValidPoint(name):
			problems = append(problems, setting.Problem{Path: path, OnKey: true, Text: fmt.Sprintf("%q can't name a label", name), Fix: "use a-z, 0-9 and _, beginning with a letter"})
		case value == "" || len(value) > maxLabel:
			problems = append(problems, setting.Problem{Path: path, Text: fmt.Sprintf("label %s has %d bytes", name, len(value)), Fix: fmt.Sprintf("use 1 to %d", maxLabel)})
		}
	}
	north := &c.Northbound.AWSIoT
	for key, topic := range map[string]*string{"topic": &north.Topic, "status_topic": &north.StatusTopic} {
		*topic = labelText.ReplaceAllStringFunc(*topic, func(text string) string {
			name := labelText.FindStringSubmatch(text)[1]
			value, ok := c.Labels[name]
			if !ok {
				fix := "add it under labels"
				if near := suggest(name, slices.Sorted(maps.Keys(c.Labels))); near != "" {
					fix = fmt.Sprintf("did you mean {label.%s}?", near)
				}
				problems = append(problems, setting.Problem{Path: []string{"northbound", "awsiot", key}, Text: fmt.Sprintf("there is no label %q", name), Fix: fix})
				return name // so that the rest of the topic can be checked
			}
			return value
		})
	}
	return problems
}
