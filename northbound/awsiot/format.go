package awsiot

import (
	"sync/atomic"

	"fieldbridge/bridge"
)

// currentFormat is the format in force; [Sink.Apply] may replace it while
// others use it.
type currentFormat struct{ now atomic.Pointer[bridge.Format] }

var _ bridge.Gatherer = (*currentFormat)(nil)

func (c *currentFormat) set(f bridge.Format)              { c.now.Store(&f) }
func (c *currentFormat) Topic(b *bridge.Batch) string     { return (*c.now.Load()).Topic(b) }
func (c *currentFormat) Fit(b *bridge.Batch) (n, sum int) { return (*c.now.Load()).Fit(b) }
func (c *currentFormat) Room() int                        { return (*c.now.Load()).Room() }
func (c *currentFormat) Gathers() bool {
	g, ok := (*c.now.Load()).(bridge.Gatherer)
	return ok && g.Gathers()
}
func (c *currentFormat) Pack(e []bridge.Entry) (bridge.Message, int, error) {
	return (*c.now.Load()).Pack(e)
}
