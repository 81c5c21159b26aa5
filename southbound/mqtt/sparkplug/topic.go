package sparkplug

import "strings"

// Topic is what a Sparkplug topic says: spBv1.0/GROUP/TYPE/NODE[/DEVICE].
type Topic struct {
	Group  string
	Kind   string // NBIRTH, DDATA, ...
	Node   string
	Device string // "" for a message of the node itself
}

// Namespace is the first level of the topics.
const Namespace = "spBv1.0"

// ParseTopic reads the topic of a message of a node or device, and reports false
// for any other.
func ParseTopic(topic string) (Topic, bool) {
	parts := strings.Split(topic, "/")
	if len(parts) < 4 || len(parts) > 5 || parts[0] != Namespace {
		return Topic{}, false
	}
	t := Topic{Group: parts[1], Kind: parts[2], Node: parts[3]}
	if len(parts) == 5 {
		t.Device = parts[4]
	}
	switch t.Kind {
	case "NBIRTH", "NDATA", "NDEATH":
		return t, len(parts) == 4
	case "DBIRTH", "DDATA", "DDEATH":
		return t, len(parts) == 5
	}
	return t, false
}

// Name returns what the device is called: NODE for a node, NODE.DEVICE for a
// device of it; GROUP first if the rule takes several groups. It may have
// letters that the name of a device cannot have.
func (t Topic) Name(groups bool) string {
	name := t.Node
	if t.Device != "" {
		name += "." + t.Device
	}
	if groups {
		name = t.Group + "." + name
	}
	return name
}

// command returns the topic of commands to the node.
func (t Topic) command() string { return Namespace + "/" + t.Group + "/NCMD/" + t.Node }
