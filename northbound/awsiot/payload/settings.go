package payload

import (
	"fmt"
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

const (
	longestDevice = 64 // bytes, by bridge.ValidDevice
	LeastMessage  = 1024
)

// Settings are the keys of northbound.awsiot that say how messages look.
type Settings struct {
	// Topic is where readings go. {gateway}, {device} and {label.NAME} are
	// replaced; without {device} messages pack best. At most 256 bytes and 7
	// slashes.
	Topic string `yaml:"topic"`
	// BasicIngest is the name of an AWS IoT rule that gets the readings directly,
	// without the broker and its charge: topics begin with $aws/rules/NAME/.
	// Nobody can subscribe to them, and a rule that does not exist loses the
	// readings without a word to us.
	BasicIngest string `yaml:"basic_ingest"`
	// Format is rows, columns or flat.
	Format Format `yaml:"format"`
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
	if s.Format != Rows && s.Format != Columns && s.Format != Flat {
		found.Add(fmt.Sprintf("the format %q is not known", s.Format), "use rows, columns or flat", "format")
	}
	if s.Order != LiveFirst && s.Order != OldestFirst {
		found.Add(fmt.Sprintf("the order %q is not known", s.Order), "use live-first or oldest-first", "order")
	}
	found.Within(s.Linger, 0, time.Hour, "linger")
	return found
}

// ValidateTopic returns what is wrong with the template of a topic that has no
// device, at path.
func ValidateTopic(text, gateway string, labels map[string]string, path ...string) setting.Found {
	var found setting.Found
	checkTopic(&found, text, gateway, labels, false, path...)
	return found
}

// checkTopic checks one template. AWS counts bytes after replacement, so the
// longest possible device counts.
func checkTopic(found *setting.Found, text, gateway string, labels map[string]string, device bool, path ...string) {
	t, err := ParseTopic(text, gateway, labels)
	if err != nil {
		found.Add(err.Error(), "use {gateway}, {device} and {label.NAME} only", path...)
		return
	}
	if t.hasDevice() && !device {
		found.Add("{device} has no meaning in this topic", "use {gateway} and {label.NAME} only", path...)
		return
	}
	longest := t.Fill(longestName)
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
