// Package power is what a gateway does when the power is about to fail: it writes what
// is in memory, and from then on whatever comes at once, until the power is back or it
// turns out that it never went.
package power

import (
	"context"
	"log/slog"
	"os"
	"syscall"
	"time"

	"fieldbridge/condition"
)

const (
	// Lasts is how long it is believed that the power fails: by then it has failed, or
	// it was a false alarm, or its end was not told.
	Lasts   = 5 * time.Minute
	subject = "power"
)

// Signals are those that tell of the power: SIGPWR (the init system's, from a UPS) and
// SIGUSR2 that it fails, SIGUSR1 that it is back. Each would end a process that does not
// ask for it.
var Signals = []os.Signal{syscall.SIGPWR, syscall.SIGUSR1, syscall.SIGUSR2}

// Queue is what must be on disk.
type Queue interface {
	// Hurry says whether whatever comes is to be on disk at once.
	Hurry(on bool)
	// Commit writes what is in memory, now.
	Commit(ctx context.Context) error
}

// Watch waits for what is told of the power.
type Watch struct {
	Queue Queue
	Log   *slog.Logger
	list  condition.List
}

// Health implements [condition.Reporter].
func (w *Watch) Health() []condition.Condition { return w.list.Health() }

// Run heeds signals until ctx ends.
func (w *Watch) Run(ctx context.Context, signals <-chan os.Signal) {
	over := time.NewTimer(Lasts)
	over.Stop()
	defer over.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			if s == syscall.SIGUSR1 {
				over.Stop()
				w.back("it is said to be back (SIGUSR1)")
				continue
			}
			over.Reset(Lasts)
			w.fails(ctx)
		case <-over.C:
			w.back("it did not fail within " + Lasts.String())
		}
	}
}

func (w *Watch) fails(ctx context.Context) {
	w.Queue.Hurry(true)
	if _, began := w.list.Raise(condition.PowerFails, subject); began {
		w.Log.Warn("the power is about to fail: what is in memory is written now, and what comes within 100 ms")
	}
	if err := w.Queue.Commit(ctx); err != nil {
		w.Log.Error("what is in memory could not be written", "err", err)
		return
	}
	w.Log.Info("what was in memory is on disk")
}

func (w *Watch) back(why string) {
	if _, ended := w.list.Clear(condition.PowerFails, subject); ended {
		w.Queue.Hurry(false)
		w.Log.Info("the power no longer fails: commits are as far apart as before", "why", why)
	}
}
