package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"fieldbridge/northbound/awsiot/remote/fetch"
	"fieldbridge/northbound/awsiot/remote/jobs"
	"fieldbridge/pause"
	"fieldbridge/setting"
)

// System has the operating system replaced, restarts the machine, and has the gate judge
// the new one: the machine returns to the one before if the gateway does not work there.
type System struct {
	// Dial finds what replaces systems on this machine.
	Dial    func(ctx context.Context) (Machine, error)
	Fetcher Fetcher
	// Boot returns what is another text after each start of the machine.
	Boot func() (string, error)
	// Hold says why no system may go on trial now, "" that one may.
	Hold func() string
	// Before returns how the gateway is, for Judge, and how long a system has to prove
	// itself; within is 0 for as is configured.
	Before func(within time.Duration) (json.RawMessage, error)
	// Ready is closed when the gateway is: what it is measured by is known then.
	Ready <-chan struct{}
	// Judge returns "" when all is as it was before, or ctx ended, and else what is not.
	Judge func(ctx context.Context, before json.RawMessage) (why string)
	Quiet Quiet
}

// Machine installs systems in slots, of which one runs.
type Machine interface {
	Slot(ctx context.Context) (string, error)
	// Install returns when a bundle is in the other slot, which is started next then.
	Install(ctx context.Context, source string, resumed bool, tell func(percent int)) error
	// Mark says of the slot that runs that it is good, bad, or to be started next (active).
	Mark(ctx context.Context, state string) error
	MayRestart(ctx context.Context) error
	Restart(ctx context.Context) error
	Close()
}

// Replace is what a signed order os-update says.
type Replace struct {
	// File is a bundle that is fetched from where the document says beside what is signed;
	// without it, URL is what the machine reads itself.
	fetch.File
	URL   string           `json:"url,omitempty"`
	Trial setting.Duration `json:"trial,omitempty"` // 1s to 1h; as is configured unless said
}

func (r *Replace) check() error {
	u, err := url.Parse(r.URL)
	switch {
	case (r.URL == "") == (r.SHA256 == ""):
		return errors.New("the order names either sha256 and size of a bundle, or its url")
	case r.URL != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil):
		return errors.New("the url of a bundle begins with https:// and has no password")
	case r.Trial != 0 && (r.Trial.D() < time.Second || r.Trial.D() > time.Hour):
		return fmt.Errorf("trial is %v: 1s to 1h are allowed", r.Trial.D())
	}
	return nil
}

// The steps of an order, after the download.
const (
	installing = "install"
	rebooting  = "reboot"
	returning  = "return"
)

// turn is what is noted of a change of systems.
type turn struct {
	From   string          `json:"from"`         // the slot
	To     string          `json:"to,omitempty"` // the slot, once it runs
	Boot   string          `json:"boot"`         // the start of the machine that it was noted in
	Before json.RawMessage `json:"before,omitempty"`
	Why    string          `json:"why,omitempty"` // it goes back
}

func (t *turn) details() map[string]string { return map[string]string{"from": t.From, "to": t.To} }

const (
	// restartWithin is how long a machine may take to stop us when it is to restart, and
	// busWithin how long after its start until it can be asked.
	restartWithin, busWithin = 10 * time.Minute, 10 * time.Minute
)

// Do implements [jobs.Operation]. From the installation on, the cloud cannot end it: what
// was installed is started, or given up.
func (s System) Do(ctx context.Context, j *jobs.Job) jobs.Outcome {
	var order Replace
	if err := json.Unmarshal(j.What, &order); err != nil {
		return jobs.Refuse(fmt.Errorf("what to install cannot be read: %w", err))
	}
	if err := order.check(); err != nil {
		return jobs.Refuse(err)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // as long as the process
	defer end()
	go func() {
		select {
		case <-j.Stops:
			end()
		case <-life.Done():
		}
	}()
	step, note := j.Noted()
	var t turn
	_ = json.Unmarshal(note, &t) // we wrote it
	resumed := step == rebooting || step == onTrial || step == returning
	m, err := s.dial(life, resumed)
	if err == nil {
		defer m.Close()
		if resumed {
			return s.goOn(life, j, m, step, &t)
		}
		err = s.install(ctx, life, j, m, &order, &t)
	}
	switch {
	case err == nil:
		return s.restart(life, m, &t)
	case life.Err() != nil, ctx.Err() != nil && !errors.Is(context.Cause(ctx), jobs.ErrEnded):
		return jobs.Outcome{}
	}
	o := jobs.Judge(err)
	if t.From != "" {
		o.Details = t.details()
	}
	return o
}

// dial finds the machine; after its start it may not be there at once.
func (s System) dial(ctx context.Context, resumed bool) (m Machine, err error) {
	for begun := time.Now(); ; {
		m, err = s.Dial(ctx)
		if err == nil || !resumed || time.Since(begun) > busWithin || !pause.Sleep(ctx, lookAgain) {
			return m, err
		}
	}
}

// install brings the bundle into the other slot and notes that the machine is to restart.
func (s System) install(ctx, life context.Context, j *jobs.Job, m Machine, order *Replace, t *turn) (err error) {
	if why := s.Hold(); why != "" {
		return fmt.Errorf("no system can go on trial now: %s", why)
	}
	if err := m.MayRestart(ctx); err != nil {
		return err
	}
	if t.From, err = m.Slot(ctx); err != nil {
		return err
	}
	source, step := order.URL, ""
	if source == "" {
		if source, err = s.fetch(ctx, j, &order.File); err != nil {
			return err
		}
		defer func() { _ = os.Remove(source) }() // it is installed, or of no use
	}
	select {
	case <-s.Ready:
	case <-ctx.Done():
	}
	if err := context.Cause(ctx); err != nil {
		return err // nothing has changed yet
	}
	if step, _ = j.Noted(); step != installing {
		err = j.Note(installing, t)
	}
	if err == nil {
		err = m.Install(life, source, step == installing, j.Progress)
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		t.Before, err = s.Before(order.Trial.D())
	}
	if err == nil {
		t.Boot, err = s.Boot()
	}
	if err == nil {
		err = j.Note(rebooting, t)
	}
	if err != nil && life.Err() == nil {
		err = errors.Join(err, m.Mark(life, "active")) // the one that runs, whatever was installed
	}
	return err
}

func (s System) fetch(ctx context.Context, j *jobs.Job, file *fetch.File) (string, error) {
	if step, _ := j.Noted(); step == "" {
		if err := j.Note("download", nil); err != nil {
			return "", err
		}
	}
	from, err := source(j)
	if err != nil {
		return "", err
	}
	return s.Fetcher.Fetch(ctx, *file, from, j.Progress)
}

// restart has the machine restarted, which ends this process; the next one goes on.
func (s System) restart(life context.Context, m Machine, t *turn) jobs.Outcome {
	resume, err := s.Quiet.hold(life)
	defer resume()
	if err == nil {
		err = m.Restart(life)
	}
	if err == nil {
		if !pause.Sleep(life, restartWithin) {
			return jobs.Outcome{}
		}
		err = fmt.Errorf("the machine was not restarted within %v", restartWithin)
	}
	if life.Err() != nil {
		return jobs.Outcome{}
	}
	if t.Why == "" { // the one that runs stays
		err = errors.Join(err, m.Mark(life, "active"))
	} else {
		err = fmt.Errorf("the system has failed (%s), and still runs: %w", t.Why, err)
	}
	o := jobs.Fail(err)
	o.Details = t.details()
	return o
}

// goOn goes on in a process that was begun when the machine was, or may be, another one.
func (s System) goOn(life context.Context, j *jobs.Job, m Machine, step string, t *turn) jobs.Outcome {
	boot, err := s.Boot()
	slot := ""
	if err == nil {
		slot, err = m.Slot(life)
	}
	switch {
	case life.Err() != nil:
		return jobs.Outcome{}
	case err != nil:
		return jobs.Fail(err)
	case step != onTrial && boot == t.Boot: // the process was restarted, and not yet the machine
		return s.leave(life, m, t)
	case slot == t.From && t.Why == "":
		return rolledBack(t.details(), fmt.Errorf("the machine was started from %s again: the boot loader says why", slot))
	case slot == t.From:
		return rolledBack(t.details(), errors.New(t.Why))
	case step == returning:
		o := jobs.Fail(fmt.Errorf("the system has failed (%s), and was started again", t.Why))
		o.Details = t.details()
		return o
	}
	t.To = slot
	if step != onTrial {
		if err := j.Note(onTrial, t); err != nil {
			return jobs.Fail(err)
		}
	}
	t.Why = s.Judge(life, t.Before)
	if life.Err() != nil {
		return jobs.Outcome{}
	}
	if t.Why == "" {
		if err := m.Mark(life, "good"); err == nil {
			return jobs.Done(t.details())
		} else {
			t.Why = err.Error()
		}
	}
	t.Boot = boot
	if err := j.Note(returning, t); err != nil {
		return jobs.Fail(err)
	}
	return s.leave(life, m, t)
}

// leave has the machine restarted, into the system before if this one has failed.
func (s System) leave(life context.Context, m Machine, t *turn) jobs.Outcome {
	if t.Why != "" {
		if err := m.Mark(life, "bad"); err != nil {
			t.Why += "; " + err.Error()
		}
	}
	return s.restart(life, m, t)
}
