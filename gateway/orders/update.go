package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/remote/fetch"
	"fieldbridge/northbound/awsiot/remote/jobs"
	"fieldbridge/release"
	"fieldbridge/setting"
)

// Update has another release of the program take the place of the one that runs.
type Update struct {
	Releases Releases // nil where none are kept
	Fetcher  Fetcher
	// Usual is closed when the gateway is as it usually is, which is what a release on
	// trial is measured by.
	Usual <-chan struct{}
	Quiet Quiet
}

// Releases are those of a gateway. Errors that are [release.RefusedError] will not
// change.
type Releases interface {
	// Runs returns the version that this process is.
	Runs() string
	// Check says why a release would not be taken; [release.ErrRuns] if it runs already.
	Check(manifest []byte, signature string) (release.Manifest, error)
	// Has reports whether a release need not be fetched.
	Has(m release.Manifest) bool
	Stage(manifest []byte, signature string, program io.Reader) (release.Manifest, error)
	// Try puts a release on trial, which is on disk when it returns, and has the gateway
	// stop for it. within is how long it has to prove itself, 0 for as is configured.
	Try(version string, within time.Duration) error
	// Withdraw ends the trial of a release that could not be started.
	Withdraw(version, why string) error
	Slots() (release.Slots, error)
}

// Fetcher brings files; [fetch.Fetcher] does.
type Fetcher interface {
	Fetch(ctx context.Context, want fetch.File, from fetch.Source, progress func(percent int)) (string, error)
}

// Upgrade is what a signed order update says.
type Upgrade struct {
	Manifest  []byte           `json:"manifest"`        // release.json, byte by byte
	Signature []byte           `json:"signature"`       // release.json.minisig
	Trial     setting.Duration `json:"trial,omitempty"` // 1s to 1h; as is configured unless said
	// Apart is how long ago the end of the trial before must be, however it ended; 0 asks
	// for nothing.
	Apart setting.Duration `json:"apart,omitempty"`
}

// tooSoon says why a release does not go on trial so soon after another. A trial that
// ended after now is one of a wrong clock.
func (u *Upgrade) tooSoon(last *release.Ended) error {
	if last == nil {
		return nil
	}
	ago := time.Since(last.At)
	if ago < 0 || ago >= u.Apart.D() {
		return nil
	}
	return fmt.Errorf("the trial of release %s ended %v ago, and the order wants %v between two", last.Version,
		ago.Round(time.Second), u.Apart)
}

// trying is what is noted before a release goes on trial.
type trying struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Before is when the trial before ended: by that the end of this one is told from it.
	Before time.Time `json:"before,omitzero"`
}

func (t trying) details() map[string]string { return map[string]string{"from": t.From, "to": t.To} }

// Do implements [jobs.Operation]. The trial is judged by the gateway, whether or not
// there is a job: the job tells of it.
func (u Update) Do(ctx context.Context, j *jobs.Job) jobs.Outcome {
	if u.Releases == nil {
		return jobs.Fail(errors.New("no releases are kept here: the service manager names no folder for them " +
			"($STATE_DIRECTORY)"))
	}
	var order Upgrade
	if err := json.Unmarshal(j.What, &order); err != nil {
		return jobs.Refuse(fmt.Errorf("what to update to cannot be read: %w", err))
	}
	if t := order.Trial.D(); t != 0 && (t < time.Second || t > time.Hour) {
		return jobs.Refuse(fmt.Errorf("trial is %v: 1s to 1h are allowed", t))
	}
	if step, note := j.Noted(); step == onTrial {
		var t trying
		_ = json.Unmarshal(note, &t) // we wrote it
		if o, ended := u.await(j, t); ended {
			return o
		} // else it did not begin
	}
	t := trying{From: u.Releases.Runs()}
	err := u.prepare(ctx, j, &order, &t)
	if err == nil {
		var resume func()
		resume, err = u.Quiet.hold(ctx)
		defer resume()
	}
	if err == nil {
		err = context.Cause(ctx) // nothing has changed yet
	}
	if err == nil {
		err = j.Note(onTrial, t)
	}
	if err == nil && t.From == t.To { // a person has put it on trial meanwhile
		o, _ := u.await(j, t)
		return o
	}
	if err == nil {
		err = u.Releases.Try(t.To, order.Trial.D())
	}
	var refused *release.RefusedError
	o := jobs.Outcome{}
	switch {
	case err == nil:
		<-j.Stops // the next process says what becomes of it
		return o
	case errors.Is(err, release.ErrRuns):
		return jobs.Done(t.details())
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), jobs.ErrEnded):
		return o
	case errors.As(err, &refused), errors.Is(err, fetch.ErrRefused):
		o = jobs.Refuse(err)
	default:
		o = jobs.Judge(err)
	}
	if o.Details = t.details(); t.To == "" {
		o.Details = nil
	}
	return o
}

// prepare makes sure that a release is there and may be tried.
func (u Update) prepare(ctx context.Context, j *jobs.Job, order *Upgrade, t *trying) error {
	m, err := u.Releases.Check(order.Manifest, string(order.Signature))
	t.To = m.Version
	if err != nil {
		return err
	}
	s, err := u.Releases.Slots()
	if err != nil && !errors.Is(err, release.ErrDamaged) { // then a new one is made
		return err
	}
	if err := order.tooSoon(s.Last); err != nil {
		return err
	}
	if !u.Releases.Has(m) {
		if err := j.Note("download", *t); err != nil {
			return err
		}
		if err := u.stage(ctx, j, order, &m); err != nil {
			return err
		}
	}
	if s, err = u.Releases.Slots(); err != nil && !errors.Is(err, release.ErrDamaged) {
		return err
	}
	if s.Last != nil {
		t.Before = s.Last.At
	}
	return await(ctx, u.Usual)
}

// stage fetches a release and puts it beside the packaged program.
func (u Update) stage(ctx context.Context, j *jobs.Job, order *Upgrade, m *release.Manifest) error {
	from, err := source(j)
	if err != nil {
		return err
	}
	path, err := u.Fetcher.Fetch(ctx, fetch.File{SHA256: strings.ToLower(m.SHA256), Size: m.Size}, from, j.Progress)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(path) }() // it is staged, or not what it should be
	program, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = program.Close() }()
	_, err = u.Releases.Stage(order.Manifest, string(order.Signature), program)
	return err
}

// lookAgain is how far apart looks at a trial are.
const lookAgain = time.Second

// await waits for the end of a trial, which may last for an hour and longer, whatever
// the cloud says meanwhile. It reports false if the trial never began.
func (u Update) await(j *jobs.Job, t trying) (o jobs.Outcome, ended bool) {
	for {
		s, err := u.Releases.Slots()
		runs := u.Releases.Runs()
		var why string
		switch {
		case err != nil && runs != t.To:
			why = err.Error()
		case err != nil: // it may be read another time
		case s.Trial != nil && s.Trial.Version == t.To && runs == t.To: // it goes on
		case s.Trial != nil && s.Trial.Version == t.To:
			why = "it was not started: the log says why, at the start of the gateway"
			if u.Releases.Withdraw(t.To, why) != nil {
				why = "" // it could be started yet
			}
		case s.Last == nil || s.Last.Version != t.To || s.Last.At.Equal(t.Before):
			return o, false
		case s.Last.Committed && runs == t.To:
			return jobs.Done(t.details()), true
		case s.Last.Committed:
			why = fmt.Sprintf("it was kept, and %s runs: 'fieldbridge update status' tells more", runs)
		case runs != t.To:
			why = s.Last.Why
		} // else it is about to stop
		if why != "" {
			return rolledBack(t.details(), errors.New(why)), true
		}
		select {
		case <-j.Stops:
			return o, true
		case <-time.After(lookAgain):
		}
	}
}
