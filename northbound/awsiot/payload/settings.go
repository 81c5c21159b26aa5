package payload

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fieldbridge/setting"
)

// Limits of AWS IoT Core ("AWS IoT Core message broker and protocol limits and
// quotas").
const (
	MaxBytes   = 128 << 10 // of one message's payload
	MaxTopic   = 256       // bytes of UTF-8
	MaxSlashes = 7         // in a topic
)

// LeastMessage is the least that max_message may be.
const LeastMessage = 1024

// Settings are the keys of northbound.awsiot that say how messages look.
type Settings struct {
	// Topic is where readings go. {gateway}, {device}, {point} and {label.NAME} are
	// replaced; without {device} and {point} messages pack best. With {point} each
	// reading is a batch of its own. At most 256 bytes and 7 slashes.
	Topic string `yaml:"topic"`
	// BasicIngest is the name of an AWS IoT rule that gets the readings directly,
	// without the broker and its charge: topics begin with $aws/rules/NAME/.
	// Nobody can subscribe to them, and a rule that does not exist loses the
	// readings without a word to us.
	BasicIngest string `yaml:"basic_ingest"`
	// Format is rows, columns, flat or protobuf.
	Format Format `yaml:"format"`
	// Layout is how format protobuf lays readings out: rows (default), which rules of AWS
	// IoT can pick apart, or columns of differences, which are smaller where values change
	// slowly.
	Layout Layout `yaml:"layout"`
	// Names puts the points' names into each message of format protobuf: its readers
	// need no catalogue then.
	Names bool `yaml:"names"`
	// MaxMessage is the most bytes of topic, content type and payload in one
	// message, at most 128KiB. AWS bills messages in steps of 5 KB.
	MaxMessage setting.Size `yaml:"max_message"`
	// Linger is the longest that a fresh batch waits for company in a message;
	// 0s sends at once.
	Linger setting.Duration `yaml:"linger"`
	// Order is live-first, where fresh readings overtake the backlog, or
	// oldest-first.
	Order Order `yaml:"order"`
}

// Layout is how format protobuf lays readings out.
type Layout string

// The layouts.
const (
	LayoutRows    Layout = "rows"    // a row for each batch
	LayoutColumns Layout = "columns" // several batches of a device in columns of differences
)

// Order is which readings go first while a backlog waits.
type Order string

// The orders.
const (
	LiveFirst   Order = "live-first"   // fresh readings overtake the backlog
	OldestFirst Order = "oldest-first" // strictly in the order of the queue
)

// SetDefaults sets what is used where the file says nothing.
func (s *Settings) SetDefaults() {
	*s = Settings{Format: Rows, MaxMessage: 5000, Linger: setting.Duration(time.Second), Order: LiveFirst}
}

// Validate returns what is wrong with s for a gateway of that name with labels.
func (s *Settings) Validate(gateway string, labels map[string]string) setting.Found {
	var found setting.Found
	if s.Topic == "" {
		found.Add("there is no topic", "say where readings go, for instance plant/{gateway}", "topic")
	} else {
		checkTopic(&found, s.Topic, gateway, labels, true, "topic")
	}
	for _, r := range s.BasicIngest {
		if r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			found.Add(fmt.Sprintf("%q cannot be the name of a rule", s.BasicIngest), "use letters, digits and _", "basic_ingest")
			break
		}
	}
	setting.Between(&found, int64(s.MaxMessage), LeastMessage, MaxBytes, "max_message")
	if !slices.Contains([]Format{Rows, Columns, Flat, Protobuf}, s.Format) {
		found.Add(fmt.Sprintf("the format %q is not known", s.Format), "use rows, columns, flat or protobuf", "format")
	}
	if s.Layout != "" && s.Layout != LayoutRows && s.Layout != LayoutColumns {
		found.Add(fmt.Sprintf("the layout %q is not known", s.Layout), "use rows or columns", "layout")
	}
	if s.Format != Protobuf && s.Layout != "" {
		found.Add("only format protobuf has a layout", "remove it, or use format protobuf", "layout")
	}
	if s.Format != Protobuf && s.Names {
		found.Add("only format protobuf can do without names", "remove it, or use format protobuf", "names")
	}
	if s.Order != LiveFirst && s.Order != OldestFirst {
		found.Add(fmt.Sprintf("the order %q is not known", s.Order), "use live-first or oldest-first", "order")
	}
	found.Within(s.Linger, 0, time.Hour, "linger")
	return found
}

// ValidateTopic returns what is wrong with the template of a topic that has neither
// device nor point, at path.
func ValidateTopic(text, gateway string, labels map[string]string, path ...string) setting.Found {
	var found setting.Found
	checkTopic(&found, text, gateway, labels, false, path...)
	return found
}

// checkTopic checks one template, of readings or of what has neither device nor
// point. AWS counts bytes after replacement, so the longest possible names count.
func checkTopic(found *setting.Found, text, gateway string, labels map[string]string, readings bool, path ...string) {
	const onlyKnown = "use {gateway} and {label.NAME} only"
	t, err := ParseTopic(text, gateway, labels)
	if err != nil {
		fix := "use {gateway}, {device}, {point} and {label.NAME} only"
		if !readings {
			fix = onlyKnown
		}
		found.Add(err.Error(), fix, path...)
		return
	}
	if len(t.slots) > 0 && !readings {
		found.Add(t.slots[0].of("{device}", "{point}")+" has no meaning in this topic", onlyKnown, path...)
		return
	}
	longest := t.Fill(longestName, longestName)
	switch slashes := strings.Count(longest, "/"); {
	case strings.ContainsAny(longest, "#+"):
		found.Add("a topic to publish to cannot have wildcards", "remove # and +", path...)
	case strings.ContainsRune(longest, 0):
		found.Add("a topic cannot have a zero byte", "remove it", path...)
	case strings.HasPrefix(longest, "$"):
		found.Add("topics that begin with $ are reserved by AWS", "begin with a letter", path...)
	case len(longest) > MaxTopic:
		found.Add(fmt.Sprintf("the topic can become %d bytes long, AWS allows %d", len(longest), MaxTopic), "shorten it",
			path...)
	case slashes > MaxSlashes:
		found.Add(fmt.Sprintf("the topic has %d slashes, AWS allows %d", slashes, MaxSlashes), "use fewer levels", path...)
	}
}
