// Package gate judges a release of the program that is on trial: it is committed when
// the gateway works with it as it did before, and given up when it does not in time.
//
// The time starts when the gateway is ready: a release that first has to check a large
// queue is no worse for it. What a crash, a watchdog or a power cut interrupts begins
// again with the next start, which package release counts.
package gate

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// State is how a gateway is, as far as a trial asks.
type State struct {
	Connected bool     `json:"connected"`
	Good      int      `json:"good"`  // points
	Buses     []string `json:"buses"` // that answer
	// What follows is asked of the release on trial alone.
	Born     bool `json:"-"` // the cloud has acknowledged the birth of this process
	Acked    bool `json:"-"` // ... and a message with readings, if any came
	Writable bool `json:"-"` // the queue
}

// Before is what is noted when a trial begins.
type Before struct {
	State
	// Within is how long the release has, from when it is ready.
	Within time.Duration `json:"within_ns"`
}

const (
	// usual is how long a release has, where an older program noted nothing.
	usual = 15 * time.Minute
	// steady is how long all must be well without a break; a fifth of a short trial.
	steady = time.Minute
	// lookEvery is how far apart looks are.
	lookEvery = time.Second
	// readyWithin is how long a start may take: a check of all of the largest queue on
	// slow flash takes some minutes.
	readyWithin = time.Hour
	// alone is when a release is committed by what is well on the machine, where the
	// uplink was down before and still is.
	alone = time.Hour
	// share is the part of the points that were good and must be good again, in percent:
	// some devices always come and go.
	share = 95
)

// Trial is a release that must prove itself.
type Trial struct {
	Before Before
	Ready  <-chan struct{} // closed when the gateway is ready
	Now    func() State
	Commit func() error // tried again until the time is over
	Tell   func(Standing)
	Log    *slog.Logger
}

// Standing is how a trial stands.
type Standing struct {
	Until   time.Time // it is given up then, if it stays so
	Missing []string  // what is not as it was, for people
	// Kept says that it is kept then: the link alone is missing, as before the trial.
	Kept bool
}

// Run judges the trial. It returns "" when the release is committed, or ctx ended, and
// else why it must be given up.
func (t *Trial) Run(ctx context.Context) (why string) {
	late := time.NewTimer(readyWithin)
	defer late.Stop()
	select {
	case <-ctx.Done():
		return ""
	case <-late.C:
		return fmt.Sprintf("it was not ready within %v", readyWithin)
	case <-t.Ready:
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	ready := time.Now()
	within := cmp.Or(t.Before.Within, usual)
	steady := min(steady, within/5)
	well := ready // since when all is
	for {
		select {
		case <-ctx.Done():
			return ""
		case <-look.C:
		}
		now := time.Now()
		here, there := missing(&t.Before.State, ptr(t.Now()))
		all := slices.Concat(here, there)
		standing := Standing{Until: ready.Add(within), Missing: all}
		if len(here) == 0 && len(there) > 0 && !t.Before.Connected {
			standing.Until, standing.Kept = ready.Add(alone), true
		}
		t.Tell(standing)
		if len(all) > 0 {
			well = now
		}
		over := now.Sub(ready) >= within
		local := len(here) == 0 && !t.Before.Connected && now.Sub(ready) >= alone
		switch {
		case len(all) == 0 && now.Sub(well) >= steady || local:
			err := t.Commit()
			if err == nil {
				return ""
			}
			t.Log.Debug("the release cannot be committed yet", "err", err)
			all = append(all, "it cannot be committed: "+err.Error())
			if local {
				return strings.Join(all, "; ")
			}
		case over && len(all) == 0: // it has its minute still
			continue
		}
		if over && (len(here) > 0 || t.Before.Connected || len(there) == 0) {
			return fmt.Sprintf("within %v of being ready: %s", within, strings.Join(all, "; "))
		}
	}
}

func ptr[T any](v T) *T { return &v }

// missing returns what is not as it was: here on the machine, and there with the cloud.
func missing(before, now *State) (here, there []string) {
	if now.Good*100 < before.Good*share {
		here = append(here, fmt.Sprintf("only %d of %d points are good", now.Good, before.Good))
	}
	for _, bus := range before.Buses {
		if !slices.Contains(now.Buses, bus) {
			here = append(here, fmt.Sprintf("bus %s does not answer", bus))
		}
	}
	if !now.Writable {
		here = append(here, "the queue cannot be written")
	}
	switch {
	case !now.Connected:
		there = append(there, "the link is not up")
	case !now.Born:
		there = append(there, "the cloud has not acknowledged the birth")
	case !now.Acked:
		there = append(there, "the cloud acknowledges no reading")
	}
	return here, there
}
