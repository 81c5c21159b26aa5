package gateway

import (
	"fmt"
	"testing"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/northbound/awsiot/awsiottest"
)

// TestStopWithFullMemory: with as much in memory as it holds and a cloud that takes
// messages and acknowledges none, a stop is prompt, and all of it is on disk.
func TestStopWithFullMemory(t *testing.T) {
	r := newStopRig(t)
	r.cloud.Script(func(*awsiottest.Message) awsiottest.Verdict { return awsiottest.Verdict{Delay: time.Hour} })
	g := r.start(t, r.cloud.Addr(), r.device)
	wait(t, "a message is in flight",
		func() bool { s := g.Status(); return s.Link.Connected && s.Queue.Ledger.Accepted.Batches > 2 })
	config := g.change.Config().Store
	full := config.Full()
	values := make([]bridge.Reading, full.Readings/full.Batches+1)
	for i := range full.Batches - full.Batches/20 { // one more twentieth, and it would be written
		for j := range values {
			values[j] = bridge.Reading{Point: fmt.Sprint("p", j), Value: bridge.Int(int64(i))}
		}
		g.collector.Emit(bridge.Batch{Device: fmt.Sprint("d", i%100), At: time.Now(),
			Readings: append([]bridge.Reading(nil), values...)}, nil)
	}
	r.stop(t)
	if s := g.queue.Status(); s.Memory.Batches != 0 || !s.Ledger.Balanced() {
		t.Errorf("after the stop %d batches are in memory; %+v", s.Memory.Batches, s.Ledger)
	}
}
