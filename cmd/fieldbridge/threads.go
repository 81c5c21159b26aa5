package main

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"time"

	"fieldbridge/gateway"
	"fieldbridge/store"
)

// governor chooses how many threads run the gateway's code at once, for who asks for
// it (run --one-thread): it is right as long as it knows all that blocks. With little
// to do, one is cheapest: Go wakes a second one for each hand-over between two
// parts and lets it go to sleep again. One is not enough when much is to be done,
// and while readings are on the disk: a read of a mapped file that waits for the
// disk holds its thread, and polling must not wait with it.
type governor struct {
	one     bool // at present
	looks   int  // that the disk must be left alone for one to be enough
	commits uint64
	used    time.Duration
}

const (
	// governEvery is how often the governor looks.
	governEvery = 5 * time.Second
	// One thread is enough below so much of its time, and not enough above.
	calmShare = 0.15
	busyShare = 0.35
	// diskLooks is how many looks the disk counts after its use: who uses it once
	// does so again.
	diskLooks = 12
)

// enough reports whether one thread is enough. used is the CPU time of the process
// so far, span the time since the last look.
func (g *governor) enough(used, span time.Duration, queue store.Status) bool {
	share := float64(used-g.used) / float64(span)
	disk := queue.Commits != g.commits || queue.Ledger.Waiting.Readings > queue.Memory.Readings
	g.used, g.commits = used, queue.Commits
	if g.looks > 0 {
		g.looks--
	}
	if disk {
		g.looks = diskLooks
	}
	switch {
	case g.looks > 0 || share > busyShare:
		g.one = false
	case share < calmShare:
		g.one = true
	}
	return g.one
}

// mayGovern reports whether the number of threads may be the governor's: the
// environment variable GOMAXPROCS overrules it.
func mayGovern() bool { return os.Getenv("GOMAXPROCS") == "" && runtime.NumCPU() > 1 }

// govern sets the number of threads by the governor until ctx ends; it is one when
// it is called.
func govern(ctx context.Context, status func() store.Status, log *slog.Logger) {
	defer runtime.SetDefaultGOMAXPROCS()
	tick := time.NewTicker(governEvery)
	defer tick.Stop()
	g := governor{one: true, used: gateway.CPUTime()}
	last := time.Now().Add(-governEvery) // the start does not count as load
	for {
		was, now := g.one, time.Now()
		one := g.enough(gateway.CPUTime(), now.Sub(last), status())
		last = now
		if one != was {
			if one {
				runtime.GOMAXPROCS(1)
			} else {
				runtime.SetDefaultGOMAXPROCS()
			}
			log.Debug("threads", "at_once", runtime.GOMAXPROCS(0))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
