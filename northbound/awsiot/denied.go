package awsiot

import (
	"maps"
	"slices"
	"sync"
	"time"

	"fieldbridge/condition"
)

// denied remembers the topics that the cloud does not let us publish to. Policy
// changes take minutes to have effect, so the messages are tried again.
type denied struct {
	mu     sync.Mutex
	topics map[string]time.Time // guarded by mu; since when
}

// maxDenied bounds what is remembered; one condition is as good as a thousand.
const maxDenied = 20

// outcome notes the PUBACK's reason of a message to topic.
func (d *denied) outcome(topic string, code byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, known := d.topics[topic]
	switch {
	case code < 0x80 && known:
		delete(d.topics, topic)
	case code == 0x87 && !known && len(d.topics) < maxDenied:
		if d.topics == nil {
			d.topics = make(map[string]time.Time)
		}
		d.topics[topic] = time.Now()
	}
}

func (d *denied) conditions() []condition.Condition {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []condition.Condition
	for _, topic := range slices.Sorted(maps.Keys(d.topics)) {
		all = append(all, condition.TopicDenied.At("topic "+topic, d.topics[topic], topic))
	}
	return all
}
