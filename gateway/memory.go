package gateway

import (
	"log/slog"
	"os"
	"runtime/debug"

	"fieldbridge/budget"
	"fieldbridge/configs"
	"fieldbridge/store/terms"
)

// How much of the memory sensors and the queue may take, unless the configuration
// says how much there is. leastForQueue is what the queue cannot do without.
const (
	mostForSensors = 32 << 20
	mostForQueue   = terms.DefaultMemory
	leastForQueue  = 1 << 20
)

// shares are what of the memory is whose, in bytes.
type shares struct{ sensors, queue, heap int64 }

// share shares the memory out: a quarter is for what sensors make the gateway keep,
// a sixteenth for what the queue has in memory, half as much for its journal. The heap
// has three quarters of all, without the journal, which it does not know of; what is
// beyond is for the queue's mapped files and what the runtime does not count.
func share(limit int64, configured bool) shares {
	s := shares{sensors: limit / 4, queue: max(limit/16, leastForQueue)}
	if !configured {
		s.sensors, s.queue = min(s.sensors, mostForSensors), min(s.queue, mostForQueue)
	}
	s.heap = limit/4*3 - (&terms.Config{Memory: s.queue}).JournalMost()
	return s
}

// limitMemory shares the memory out that the process may use, gives the queue's share
// to its configuration, and makes the runtime collect garbage before the heap has more
// than its own. GOMEMLIMIT overrules the last, and where it is less than that the shares
// follow it. It returns the share of sensors.
func limitMemory(c *configs.Config, log *slog.Logger) (sensors int64) {
	limit := budget.Detect(int64(c.Memory))
	said := os.Getenv("GOMEMLIMIT") != ""
	if heap := debug.SetMemoryLimit(-1); said && heap < limit.Bytes/4*3 {
		limit = budget.Limit{Bytes: heap / 3 * 4, From: "GOMEMLIMIT"}
	}
	s := share(limit.Bytes, c.Memory != 0)
	if !said {
		debug.SetMemoryLimit(s.heap)
	}
	c.Store.Memory = s.queue
	log.Debug("memory", "limit", limit.Bytes, "from", limit.From, "sensors", s.sensors, "queue", s.queue)
	return s.sensors
}
