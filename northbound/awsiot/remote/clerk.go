package remote

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// waitingOver is how many requests may wait for a refusal, beyond those that wait
// for their turn. It takes one write to the disk to refuse all of them.
const waitingOver = 1000

// clerk answers those that cannot wait, and sees to the records, while others are
// carried out. It ends with ctx.
func (c *Commander) clerk(ctx context.Context) {
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		again.Stop()
		if next := c.records.file(); !next.IsZero() {
			again.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return
		case r := <-c.over:
			c.turnAway(append(drain(c.over), *r), fmt.Sprintf("busy: %d commands are waiting; it may be sent again "+
				"with another id", waitingCommands))
		case r := <-c.waiting:
			c.reserve(append(drain(c.waiting), *r))
		case <-c.records.poke:
		case <-again.C:
		}
	}
}

// reserve has the memory know those that wait, in one write to the disk, so that
// each is on record after a kill, too. What is no command is not among them.
func (c *Commander) reserve(all []request) {
	what, taken := make(map[string]finished), make(map[string]*atomic.Bool)
	for _, r := range all {
		cmd, err := r.parse()
		if err != nil || r.taken.Load() || taken[cmd.ID] != nil {
			continue
		}
		f := r.begun(&cmd)
		f.Waits = true
		what[cmd.ID], taken[cmd.ID] = f, r.taken
	}
	if err := c.memory.reserve(what, func(id string) bool { return !taken[id].Load() }); err != nil {
		c.o.Log.Debug("commands that wait are not on record if the gateway is killed", "commands", len(what), "err", err)
	}
}

// drain returns what is in a channel.
func drain(of chan *request) (all []request) {
	for {
		select {
		case r := <-of:
			all = append(all, *r)
		default:
			return all
		}
	}
}

// turnAway refuses requests for good, for one reason. Those that came before are
// told what became of them.
func (c *Commander) turnAway(all []request, text string) {
	for chunk := range slices.Chunk(all, keptRecords) {
		c.turnAwayAll(chunk, text)
	}
}

func (c *Commander) turnAwayAll(all []request, text string) {
	refused := make(map[string]finished)
	var answers []func()
	for _, r := range all {
		cmd, err := r.parse()
		a := Answer{ID: cmd.ID, Outcome: outcomeRefused, Text: text}
		if err != nil {
			a.Text = err.Error()
		}
		f, known, failed := c.memory.known(cmd.ID)
		known = known && !f.Waits
		if _, twice := refused[cmd.ID]; err == nil && failed == nil && (known || twice) {
			if known {
				a.Outcome, a.Enough, a.Text = f.Outcome, f.Enough, f.Text
			}
			a.Again = true
			answers = append(answers, func() { r.reply(a) })
			continue
		}
		f = r.begun(&cmd)
		f.Outcome, f.Text = a.Outcome, a.Text
		if err == nil {
			refused[cmd.ID] = f
		}
		answers = append(answers, func() {
			c.conclude(&cmd, r.by, &a, err == nil)
			c.count(a)
			r.reply(a)
		})
	}
	if len(refused) > 0 && !c.memory.refuse(refused) {
		c.o.Log.Debug("commands that are refused are remembered until the stop only", "commands", len(refused))
	}
	for _, answer := range answers {
		answer()
	}
}
