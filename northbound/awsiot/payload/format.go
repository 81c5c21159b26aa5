package payload

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"fieldbridge/bridge"
)

// ContentType is told with each message; AWS bills its bytes.
const ContentType = "application/json"

// Format is how the payloads of readings look. docs/payload.md has the schemas.
type Format string

// The formats.
const (
	Rows    Format = "rows"    // a list of batches
	Columns Format = "columns" // per device a column of values for each point
	Flat    Format = "flat"    // one batch a message, its points at top level
)

// New returns the format that s asks for. It is safe for concurrent use.
func New(s *Settings, gateway string, labels map[string]string) (bridge.Format, error) {
	if s.Topic == "" {
		return nil, errors.New("there is no topic")
	}
	t, err := ParseTopic(s.Topic, gateway, labels)
	if err != nil {
		return nil, fmt.Errorf("topic: %w", err)
	}
	if s.BasicIngest != "" {
		t.parts[0] = basicIngest + s.BasicIngest + "/" + t.parts[0]
	}
	e := newEnvelope(t, gateway, labels, int(s.MaxMessage))
	switch s.Format {
	case Columns:
		return &columns{e}, nil
	case Flat:
		return &flat{e}, nil
	}
	return &rows{e}, nil
}

// basicIngest is what topics begin with that go to a rule directly.
const basicIngest = "$aws/rules/"

// WithoutRule returns what AWS counts of a topic: not the beginning of Basic
// Ingest.
func WithoutRule(topic string) string {
	if rest, ok := strings.CutPrefix(topic, basicIngest); ok {
		_, topic, _ = strings.Cut(rest, "/")
	}
	return topic
}

// envelope is what messages of one format have in common: topic, limit, and the
// members of the payload that are the same for all batches.
type envelope struct {
	topic  Topic
	limit  int    // bytes of topic, content type and payload
	head   []byte // {"v":1,"gateway":"g"
	labels []byte // ,"labels":{...} or nothing
}

func newEnvelope(t Topic, gateway string, labels map[string]string, limit int) envelope {
	e := envelope{topic: t, limit: limit, head: AppendString([]byte(`{"v":1,"gateway":`), gateway)}
	separator := `,"labels":{`
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		e.labels = append(e.labels, separator...)
		e.labels = AppendString(e.labels, name)
		e.labels = append(e.labels, ':')
		e.labels = AppendString(e.labels, labels[name])
		separator = ","
	}
	if len(e.labels) > 0 {
		e.labels = append(e.labels, '}')
	}
	return e
}

// longestMarks is what marks adds at most, with a run of 16 bytes.
const longestMarks = len(`,"run":"0123456789abcdef","backlog":true,"clock":"unsynced"`)

// marks appends the members that tell of e and of all that share its message.
func (v *envelope) marks(b []byte, e *bridge.Entry) []byte {
	b = append(b, `,"run":`...)
	b = AppendString(b, e.Run)
	return v.states(b, e)
}

func (v *envelope) states(b []byte, e *bridge.Entry) []byte {
	if e.Backlog {
		b = append(b, `,"backlog":true`...)
	}
	if e.Unsynced {
		b = append(b, `,"clock":"unsynced"`...)
	}
	return append(b, v.labels...)
}

// Topic implements [bridge.Format].
func (v *envelope) Topic(b *bridge.Batch) string { return v.topic.Fill(b.Device) }

// space returns what a message leaves for batches, given the size of its topic.
func (v *envelope) space(topic int) int {
	return v.limit - topic - len(ContentType) - len(v.head) - longestMarks - len(v.labels)
}

// leastSpace is space for the longest topic.
func (v *envelope) leastSpace() int {
	device := ""
	if v.topic.hasDevice() {
		device = longestName
	}
	return v.space(v.topic.size(device))
}

var longestName = strings.Repeat("d", longestDevice)

// payloadLimit is the most bytes of payload for a topic.
func (v *envelope) payloadLimit(topic string) int { return v.limit - len(topic) - len(ContentType) }

// scratch are buffers that messages are written in before their size is known.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

func message(topic string, payload []byte) bridge.Message {
	return bridge.Message{Topic: topic, Payload: bytes.Clone(payload), ContentType: ContentType}
}

// sameMessage reports whether e may share a message with first.
func (v *envelope) sameMessage(first, e *bridge.Entry) bool {
	return e.Run == first.Run && e.Backlog == first.Backlog && e.Unsynced == first.Unsynced &&
		(!v.topic.hasDevice() || e.Device == first.Device)
}

// errTooLarge is why a batch is refused before it is sent: AWS would close the
// connection.
func errTooLarge(e *bridge.Entry) error {
	return bridge.Permanent(fmt.Errorf("device %s: a batch of %d readings takes more than the %d bytes that AWS allows "+
		"in a message",
		e.Device, len(e.Readings), MaxBytes))
}
