package change

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/condition"
	"fieldbridge/configs"
	"fieldbridge/configs/tree"
)

// deployed is the configuration that was deployed and confirmed. It stands in for the
// gateway's own file, until somebody edits that.
type deployed struct {
	File string `json:"file,omitempty"` // the deployed one, "" if the own file is used
	Hash string `json:"hash,omitempty"`
	// Local is the hash of the own file when it was deployed, "" if there never was a
	// deployment.
	Local string `json:"local,omitempty"`
}

const deployedKey = "config.deployed"

// chosen returns what is to be used instead of l, the gateway's own file: what was
// deployed, if l was not edited since. The error is of the deployed file.
func chosen(ctx context.Context, l *configs.Loaded, state bridge.State) (*configs.Loaded, error) {
	d := load[deployed](state, deployedKey)
	if d.File == "" || d.Local != l.Hash {
		return l, nil
	}
	other, err := configs.LoadGateway(ctx, d.File, l.Config.Gateway)
	if err == nil && other.Hash != d.Hash {
		err = fmt.Errorf("%s is not what was deployed", d.File)
	}
	if err == nil {
		err = tree.ErrorOf(other.Missing...)
	}
	if err != nil {
		return l, err
	}
	other.Files = l.Files // those that people edit
	return other, nil
}

// Deployment is a configuration that comes from afar.
type Deployment struct {
	File    string        // on this machine, to stay there
	Hash    string        // which it must have; "" is any
	Confirm time.Duration // how long it is on trial
	// Overwrite takes it though the gateway's own file was edited after the deployment
	// before.
	Overwrite bool
	// Begin is called when all is checked, just before anything changes. On an error
	// nothing does. It may be nil.
	Begin func(hash string) error
}

// What Deploy may return, beside why a file is wrong.
var (
	// ErrEdited is that somebody has changed the configuration on the machine.
	ErrEdited = errors.New("the configuration was edited on the machine since the last deployment")
	// ErrStopped is that the gateway stopped before the end of a trial. What ran before
	// is used when it starts again.
	ErrStopped = errors.New("the gateway stopped while the configuration was on trial")
)

// RolledBack is why a deployed configuration was taken back.
type RolledBack struct{ Why string }

func (e *RolledBack) Error() string { return "taken back: " + e.Why }

// Deploy applies a configuration on trial and returns when it is confirmed: then it is
// used after restarts, too. Otherwise what ran before runs again. It fails its trial
// as one of [Changer.Reload] does that wants every point, and if there is an alarm
// that there was not before. ctx ends the wait for another change; a trial goes on to
// its end. What will never be right is marked by [bridge.Permanent].
func (c *Changer) Deploy(ctx context.Context, d Deployment) error {
	outcome, err := c.deploy(ctx, d)
	if outcome == nil || err != nil {
		return err
	}
	return <-outcome
}

// deploy begins a trial; its outcome is sent once. It is nil where nothing was to do.
func (c *Changer) deploy(ctx context.Context, d Deployment) (<-chan error, error) {
	if err := c.begin(ctx); err != nil {
		return nil, fmt.Errorf("another change is under way: %w", err)
	}
	defer c.end()
	switch {
	case c.pending != nil:
		return nil, ErrOnTrial
	case c.Status().Hash == d.Hash:
		return nil, nil
	}
	l, err := configs.LoadGateway(ctx, d.File, c.Config().Gateway)
	if err == nil {
		err = tree.ErrorOf(append(c.vanished(l), l.Missing...)...)
	}
	if err != nil && ctx.Err() == nil {
		return nil, bridge.Permanent(err)
	}
	if err != nil {
		return nil, err
	}
	if l.Hash == c.Status().Hash {
		return nil, nil
	}
	if d.Hash != "" && l.Hash != d.Hash {
		return nil, bridge.Permanent(fmt.Errorf("the configuration has hash %s, not %s", l.Hash, d.Hash))
	}
	local := ""
	if own, err := configs.LoadGateway(ctx, c.o.File, c.o.Gateway); err == nil {
		local = own.Hash
	}
	if was := load[deployed](c.o.State, deployedKey).Local; was != "" && was != local && !d.Overwrite {
		return nil, ErrEdited
	}
	if c.o.Prove != nil {
		if err := c.o.Prove(ctx, c.Config(), &l.Config); err != nil {
			return nil, l.Hidden.Error(err)
		}
	}
	before, err := c.before(ctx, d.Confirm > 0)
	if err != nil {
		return nil, err
	}
	if d.Begin != nil {
		if err := d.Begin(l.Hash); err != nil {
			return nil, err
		}
	}
	if err := c.apply(l, before, d.Confirm, 1); err != nil {
		return nil, err
	}
	outcome := make(chan error, 1)
	c.pending.deployed, c.pending.outcome = &deployed{File: d.File, Hash: l.Hash, Local: local}, outcome
	return outcome, nil
}

// keepDeployed notes that a deployment is confirmed.
func (c *Changer) keepDeployed(p *pending) {
	if p.deployed == nil {
		return
	}
	if err := save(c.o.State, deployedKey, *p.deployed); err != nil {
		c.o.Log.Error("the deployed configuration is used until the stop only", "err", err)
	}
}

// edited notes that the gateway's own file, which has a hash, is used again if somebody
// has edited it.
func (c *Changer) edited(own string) {
	d := load[deployed](c.o.State, deployedKey)
	if d.File == "" || d.Local == own {
		return
	}
	c.o.Log.Warn("the file was edited on the machine and is used instead of what was deployed", "file", c.o.File)
	if err := save(c.o.State, deployedKey, deployed{Local: d.Local}); err != nil {
		c.o.Log.Error("it is not saved that the file is used again", "err", err)
	}
}

// settle tells who waits for the end of a trial.
func (p *pending) settle(err error) {
	if p.outcome != nil {
		p.outcome <- err
	}
}

// alarms returns the first alarm of now that was not there before, for people. What a
// change says of itself does not count.
func alarms(before, now []condition.Condition) string {
	for _, a := range now {
		known := func(b condition.Condition) bool { return b.Code == a.Code && b.Subject == a.Subject }
		if a.Severity == condition.Alarm && a.Subject != "configuration" && !slices.ContainsFunc(before, known) {
			return fmt.Sprintf("there is a new alarm: %s: %s", a.Subject, a.Text)
		}
	}
	return ""
}
