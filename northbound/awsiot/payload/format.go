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

// ContentType is told with each message of JSON; AWS bills its bytes.
const ContentType = "application/json"

// Format is how the payloads of readings look. docs/payload.md has the schemas.
type Format string

// The formats.
const (
	Rows    Format = "rows"    // a list of batches
	Columns Format = "columns" // per device a column of values for each point
	Flat    Format = "flat"    // one batch a message, its points at top level
	// Protobuf has numbers instead of names, and Rows or Columns as its layout.
	Protobuf Format = "protobuf"
)

// New returns the format that s asks for. It is safe for concurrent use. Format protobuf
// uses numbers; nil has none.
func New(s *Settings, gateway string, labels map[string]string, numbers Numbers) (bridge.Format, error) {
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
	if s.Format == Protobuf {
		return newProtobuf(t, s, gateway, labels, numbers), nil
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
	return envelope{topic: t, limit: limit, head: appendHead(nil, gateway), labels: appendLabels(nil, labels)}
}

func appendHead(b []byte, gateway string) []byte {
	return AppendString(append(b, `{"v":1,"gateway":`...), gateway)
}

func appendLabels(b []byte, labels map[string]string) []byte {
	if len(labels) == 0 {
		return b
	}
	separator := `,"labels":{`
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		b = append(b, separator...)
		b = AppendString(b, name)
		b = append(b, ':')
		b = AppendString(b, labels[name])
		separator = ","
	}
	return append(b, '}')
}

// begin appends the members that each message begins with. Who measured e stands there,
// and not who sends it.
func (v *envelope) begin(b []byte, e *bridge.Entry) []byte {
	if e.Origin == nil {
		return append(b, v.head...)
	}
	return appendHead(b, e.Origin.Gateway)
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
	if e.Origin == nil {
		return append(b, v.labels...)
	}
	return appendLabels(b, e.Origin.Labels)
}

// Topic implements [bridge.Format].
func (v *envelope) Topic(b *bridge.Batch) string { return v.topic.Fill(b.Device, pointOf(b)) }

// pointOf is what {point} of a topic stands for. Where it is used a batch has one
// reading; one that was queued before it was has them all.
func pointOf(b *bridge.Batch) string {
	if len(b.Readings) == 1 {
		return b.Readings[0].Point
	}
	return allPoints
}

const allPoints = "all"

// spaceFor is space for a batch with the topic of its first reading.
func (v *envelope) spaceFor(b *bridge.Batch) int {
	point := ""
	if len(b.Readings) > 0 {
		point = b.Readings[0].Point
	}
	return v.space(v.topic.size(b.Device, point))
}

// oneEach reports whether each reading is a batch of its own.
func (v *envelope) oneEach() bool { return v.topic.hasPoint() }

// space returns what a message leaves for batches, given the size of its topic.
func (v *envelope) space(topic int) int {
	return v.limit - topic - len(ContentType) - len(v.head) - longestMarks - len(v.labels)
}

// leastSpace is space for the longest topic.
func (v *envelope) leastSpace() int {
	return v.space(v.topic.size(longestName, longestName))
}

// longestName is as long as a device's and a point's name may be.
var longestName = strings.Repeat("d", 64)

// payloadLimit is the most bytes of payload for a topic.
func (v *envelope) payloadLimit(topic string) int { return v.limit - len(topic) - len(ContentType) }

// scratch are buffers that messages are written in before their size is known.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

func message(topic string, payload []byte) bridge.Message {
	return bridge.Message{Topic: topic, Payload: bytes.Clone(payload), ContentType: ContentType}
}

// sameMessage reports whether e may share a message with first.
func (v *envelope) sameMessage(first, e *bridge.Entry) bool { return sameMessage(v.topic, first, e) }

func sameMessage(t Topic, first, e *bridge.Entry) bool {
	return e.Run == first.Run && e.Origin == first.Origin && e.Backlog == first.Backlog && e.Unsynced == first.Unsynced &&
		(!t.hasDevice() || e.Device == first.Device) &&
		(!t.hasPoint() || pointOf(&e.Batch) == pointOf(&first.Batch))
}

// errTooLarge is why a batch is refused before it is sent: AWS would close the
// connection.
func errTooLarge(e *bridge.Entry) error {
	return bridge.Permanent(fmt.Errorf("device %s: a batch of %d readings takes more than the %d bytes that AWS allows "+
		"in a message",
		e.Device, len(e.Readings), MaxBytes))
}
