package awsiot

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"fieldbridge/bridge"
)

// contentType is told with each message; AWS bills its bytes.
const contentType = "application/json"

// currentFormat is the format in force; [Sink.Apply] may replace it while
// others use it.
type currentFormat struct{ now atomic.Pointer[rows] }

var _ bridge.Format = (*currentFormat)(nil)

func (c *currentFormat) set(f *rows)                      { c.now.Store(f) }
func (c *currentFormat) Topic(b *bridge.Batch) string     { return c.now.Load().Topic(b) }
func (c *currentFormat) Fit(b *bridge.Batch) (n, sum int) { return c.now.Load().Fit(b) }
func (c *currentFormat) Room() int                        { return c.now.Load().Room() }
func (c *currentFormat) Pack(e []bridge.Entry) (bridge.Message, int, error) {
	return c.now.Load().Pack(e)
}

func newFormat(cfg Config, gateway string) (*rows, error) {
	if cfg.Topic == "" {
		return nil, errors.New("topic: there is none")
	}
	t, err := parseTopic(cfg.Topic, gateway)
	if err != nil {
		return nil, fmt.Errorf("topic: %w", err)
	}
	return newRows(t, gateway, int(cfg.MaxMessage)), nil
}

// scratch are buffers that messages are written in before their size is known.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }}

// sameMessage reports whether e may share a message with first.
func sameMessage(t topic, first, e *bridge.Entry) bool {
	return e.Run == first.Run && e.Backlog == first.Backlog && e.Unsynced == first.Unsynced &&
		(!t.hasDevice() || e.Device == first.Device)
}

// errTooLarge is why a batch is refused before it is sent: AWS would close the
// connection.
func errTooLarge(e *bridge.Entry) error {
	return bridge.Permanent(fmt.Errorf("device %s: a batch of %d readings takes more than the %d bytes that AWS allows in a message",
		e.Device, len(e.Readings), maxPayload))
}
