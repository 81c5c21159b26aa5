package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"fieldbridge/gateway/control"
	"fieldbridge/gateway/gate"
	"fieldbridge/release"
)

// releases are those of the program that this gateway is, and what becomes of them. It
// is safe for concurrent use.
type releases struct {
	*release.Folder                 // nil where none are kept
	ready           <-chan struct{} // closed when the gateway is ready
	bearing         func() gate.State
	within          func() time.Duration // how long a release has, unless somebody says
	hold            func() string        // why none may go on trial now
	log             *slog.Logger
	leave           func()                        // has the gateway start again, with what is to run
	trial           atomic.Pointer[control.Trial] // of this program, while it must prove itself
}

// Leave implements [control.Updater].
func (r *releases) Leave() { r.leave() }

// Try puts a release that was staged on trial, and stops the gateway so that it takes
// over. within is how long it has, 0 for as is configured.
func (r *releases) Try(version string, within time.Duration) error {
	if why := r.hold(); why != "" {
		return fmt.Errorf("release %s cannot go on trial now: %s", version, why)
	}
	before := gate.Before{State: r.bearing(), Within: cmp.Or(within, r.within())}
	if err := r.Begin(version, before); err != nil {
		return err
	}
	r.log.Info("a release goes on trial", "version", version)
	r.Leave()
	return nil
}

// judge commits the release that this process is, or gives it up, if it is on
// trial.
func (r *releases) judge(ctx context.Context) {
	if r.Folder == nil {
		return
	}
	version := r.Runs()
	s, err := r.Slots()
	if err != nil || s.Trial == nil || s.Trial.Version != version {
		return
	}
	var before gate.Before
	_ = json.Unmarshal(s.Trial.Before, &before) // what an older program noted otherwise asks for nothing
	now := control.Trial{Version: version, Since: s.Trial.Begun, Attempts: s.Trial.Attempts}
	r.trial.Store(&now)
	r.log.Info("this release is on trial", "version", version)
	trial := gate.Trial{Before: before, Ready: r.ready, Now: r.bearing, Log: r.log, Tell: func(s gate.Standing) {
		was, next := r.trial.Load(), now
		next.Until, next.Missing, next.Kept = s.Until, s.Missing, s.Kept
		if was != nil { // else it was committed by hand, meanwhile
			r.trial.CompareAndSwap(was, &next)
		}
	}, Commit: func() error {
		if err := r.Commit(version); !errors.Is(err, release.ErrNoTrial) { // else by hand, meanwhile
			return err
		}
		return nil
	}}
	why := trial.Run(ctx)
	switch {
	case ctx.Err() != nil:
		return
	case why == "":
		r.trial.Store(nil)
		r.log.Info("this release is committed", "version", version)
		return
	}
	err = r.Reject(version, why)
	if errors.Is(err, release.ErrNoTrial) { // committed by hand, meanwhile: nothing undoes that
		return
	}
	r.log.Error("this release is given up", "version", version, "why", why)
	if err != nil {
		r.log.Error("that it failed cannot be noted: its attempts count", "err", err)
	}
	r.Leave()
}

// update answers the control socket.
func (r *releases) update(_ context.Context, u control.Update) (control.Releases, error) {
	all, err := u.Do(r.Folder, r)
	if err == nil && all.Trial == nil {
		r.trial.Store(nil)
	}
	all.Proving = r.trial.Load()
	return all, err
}
