package gateway

import (
	"log/slog"
	"os"
	"runtime/debug"

	"fieldbridge/budget"
)

// mostForSensors is how much of the memory sensors may take, unless the
// configuration says how much there is.
const mostForSensors = 32 << 20

// limitMemory makes the runtime collect garbage before the process has more than
// three quarters of the memory that it may use, and returns how much of that
// sensors may take: a quarter. What is beyond is for the queue's mapped files and
// what the runtime does not count. GOMEMLIMIT overrules the first.
func limitMemory(configured int64, log *slog.Logger) int64 {
	limit := budget.Detect(configured)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit.Bytes / 4 * 3)
	}
	sensors := limit.Bytes / 4
	if configured == 0 {
		sensors = min(sensors, mostForSensors)
	}
	log.Debug("memory", "limit", limit.Bytes, "from", limit.From, "sensors", sensors)
	return sensors
}
