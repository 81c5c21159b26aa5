package change

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// judge ends a trial.
func (c *Changer) judge() {
	p := c.pending
	c.pending = nil
	// Last, so that who waits for the end of a trial finds its outcome.
	defer c.show(func(now *shown) { now.status.OnTrial = time.Time{} })
	refused := c.Status().Hash
	why := verdict(p, c.o.Vital())
	if why == "" {
		c.o.Log.Info("configuration confirmed", "hash", refused)
		c.becomeGood()
		c.keepDeployed(p)
		p.settle(nil)
		return
	}
	var back error = &RolledBack{why}
	defer func() { p.settle(back) }()
	if err := save(c.o.State, trialKey, trial{Hash: refused, Refused: why}); err != nil {
		c.o.Log.Error("the refused configuration cannot be noted", "err", err)
	}
	if err := c.takeBack(p); err != nil {
		back = fmt.Errorf("it does not work (%s), and the one before cannot be applied: %w", why, err)
		c.showProblem(fmt.Sprintf("configuration %s does not work (%s) and the one before cannot be applied: %v: "+
			"restart the gateway", refused, why, err))
		c.o.Log.Debug("configuration cannot be taken back", "hash", refused, "why", why, "err", err)
		return
	}
	c.snapshot, c.good = p.snapshot, true
	c.show(func(now *shown) {
		now.config = p.old
		now.status.Hash, now.status.Origin, now.status.Applied = p.hash, p.origin, time.Now()
	})
	c.showProblem(fmt.Sprintf("configuration %s was taken back: %s: %s", refused, why, p.remedy()))
	c.o.Log.Debug("configuration taken back", "hash", refused, "why", why)
}

// remedy says what to do about a change that was taken back.
func (p *pending) remedy() string {
	if p.deployed != nil {
		return "deploy another one"
	}
	return "correct the file and reload"
}

// takeBack applies what ran before a trial.
func (c *Changer) takeBack(p *pending) error {
	now, err := c.whole(c.Config(), c.snapshot)
	if err != nil {
		return err
	}
	old, err := c.whole(p.old, p.snapshot)
	if err != nil {
		return err
	}
	return c.o.Apply(now, old, p.hash)
}

// verdict returns why a trial has failed, "" if it has not.
func verdict(p *pending, now Vital) string {
	if !now.Connected {
		return "the link is not up"
	}
	if now.Acked == p.acked && now.Waiting > 0 {
		return "the cloud acknowledges nothing"
	}
	before, after := 0, 0
	for device, n := range p.before.Good {
		if m, ok := now.Good[device]; ok { // others were taken out on purpose
			before, after = before+n, after+min(m, n)
		}
	}
	if float64(after) < p.share*float64(before) {
		return fmt.Sprintf("only %d of %d points are good%s", after, before, fewer(p.before, now))
	}
	if p.deployed != nil {
		return alarms(p.before.Conditions, now.Conditions)
	}
	return ""
}

// fewer names the devices with fewer good points than before, and their bad points.
func fewer(before, now Vital) string {
	const most = 10
	var names []string
	for _, device := range slices.Sorted(maps.Keys(before.Good)) {
		n, there := now.Good[device]
		if !there || n >= before.Good[device] {
			continue
		}
		var bad []string
		if now.Bad != nil {
			bad = now.Bad(device)
		}
		if bad == nil {
			names = append(names, fmt.Sprintf("%s (%d of %d)", device, n, before.Good[device]))
		}
		for _, point := range bad {
			names = append(names, device+"."+point)
		}
	}
	if more := len(names) - most; more > 0 {
		names = append(names[:most:most], fmt.Sprintf("%d more", more))
	}
	if names == nil {
		return ""
	}
	return ", not " + strings.Join(names, ", ")
}
