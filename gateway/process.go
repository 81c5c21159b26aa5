package gateway

import (
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fieldbridge/bridge"
)

// process has the metrics of the process, by the names that Prometheus users know.
type process struct {
	started time.Time
	version string
}

// Observe implements bridge.Observable.
func (p process) Observe(yield func(bridge.Metric)) {
	gauge := func(name, help string, v float64) {
		yield(bridge.Metric{Name: name, Help: help, Kind: bridge.Gauge, Value: v})
	}
	yield(bridge.Metric{Name: "process_cpu_seconds_total", Help: "User and system time of the process.",
		Kind: bridge.Counter, Value: CPUTime().Seconds()})
	gauge("process_resident_memory_bytes", "Resident memory of the process.", float64(residentMemory()))
	gauge("process_start_time_seconds", "When the process started, as Unix time.", float64(p.started.UnixMilli())/1e3)
	samples := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(samples)
	gauge("go_goroutines", "Goroutines.", float64(samples[0].Value.Uint64()))
	gauge("go_sched_gomaxprocs_threads", "Threads that may run the gateway's code at once.",
		float64(runtime.GOMAXPROCS(0)))
	gauge("go_memstats_heap_alloc_bytes", "Bytes of live and not yet collected heap objects.",
		float64(samples[1].Value.Uint64()))
	yield(bridge.Metric{Name: "fieldbridge_build_info", Help: "Always 1; the version is a label.", Kind: bridge.Gauge,
		Labels: []string{"version", p.version}, Value: 1})
}

// residentMemory reads /proc/self/statm (proc(5)), in bytes; 0 where there is
// none.
func residentMemory() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// CPUTime returns the user and system time of the process so far.
func CPUTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
