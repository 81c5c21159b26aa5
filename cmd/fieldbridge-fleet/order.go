package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge-fleet/account"
	"fieldbridge/cmd/fieldbridge-fleet/rollout"
	"fieldbridge/cmd/fieldbridge/words"
)

// poll is how often a job is looked at: seldom beside what an account may call, the
// quota of which was not looked up; the SDK waits when AWS throttles.
var poll = 5 * time.Second // tests look more often

// most is how many failures are told in full.
const most = 20

// orderCommand has gateways do what needs no file.
func orderCommand(operation, short string) *cobra.Command {
	c := &cobra.Command{Use: operation + " {--gateway NAME | --group NAME} --key FILE", Short: short,
		Args: takes(cobra.NoArgs)}
	var s signing
	var to targets
	s.add(c)
	to.add(c)
	wait := c.Flags().Bool("wait", true, "watch the job until it is over")
	asJSON := new(bool)
	if operation == "diagnose" {
		c.Flags().BoolVar(asJSON, "json", false, "print what the gateways say for programs")
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if len(to.Gateways)+len(to.Groups) == 0 {
			return usageError{errors.New("say --gateway NAME or --group NAME")}
		}
		signer, err := s.signer(c.InOrStdin())
		if err != nil {
			return err
		}
		now := time.Now()
		order, err := signer.Order(operation, to.Targets, nil, now)
		if err != nil {
			return usageError{err}
		}
		document, err := rollout.Document(order, nil)
		if err != nil {
			return usageError{err}
		}
		a, err := open(c)
		if err != nil {
			return err
		}
		id := fmt.Sprintf("%s%s-%d", rollout.Prefix, operation, now.UnixMilli())
		j := account.Job{ID: id, Description: "fieldbridge-fleet " + operation, Document: document, Things: to.Gateways,
			Groups: to.Groups}
		if err := a.CreateJob(c.Context(), j); err != nil {
			return err
		}
		fmt.Fprintf(c.ErrOrStderr(), "job %s is created\n", id)
		if !*wait {
			return nil
		}
		p, err := run(c, a, []rollout.Stage{{Name: operation, Jobs: []account.Job{j}, Patient: true}}, false)
		if operation != "diagnose" {
			return err
		}
		return errors.Join(err, tellDiagnoses(c, a, p, *asJSON))
	}
	return c
}

// tellDiagnoses prints what gateways say of themselves.
func tellDiagnoses(c *cobra.Command, a *account.Account, p rollout.Progress, asJSON bool) error {
	found, err := ended(c.Context(), a, p, func(e *account.Execution) bool { return e.Status == "SUCCEEDED" })
	if asJSON {
		err = errors.Join(err, words.JSON(c.OutOrStdout(), found))
	} else {
		printDiagnoses(c.OutOrStdout(), found)
	}
	if p.Succeeded > len(found) && err == nil {
		fmt.Fprintf(c.ErrOrStderr(), "and %d more: ask for them by --gateway\n", p.Succeeded-len(found))
	}
	return err
}

// printDiagnoses prints a sentence for each gateway, and under it what else it said.
func printDiagnoses(w io.Writer, found []account.Execution) {
	for _, e := range found {
		fmt.Fprintf(w, "%s: %s\n", e.Gateway, words.Printable(e.Details["sentence"]))
		for _, name := range slices.Sorted(maps.Keys(e.Details)) {
			if name != "sentence" && name != "step" && name != "percent" {
				fmt.Fprintf(w, "  %s %s\n", name, words.Printable(e.Details[name]))
			}
		}
	}
}

// run runs stages, shows how far they are and, where they are stopped, why.
func run(c *cobra.Command, a *account.Account, stages []rollout.Stage, again bool) (last rollout.Progress, err error) {
	w := c.ErrOrStderr()
	show := bar(w, words.Terminal(w))
	err = rollout.Run(c.Context(), a, stages, again, poll, func(s rollout.Stage, p rollout.Progress) {
		last = p
		show(s.Name, p)
	})
	return last, errors.Join(err, tellFailures(c, a, last))
}

// tellFailures says on which gateways jobs went wrong, and why.
func tellFailures(c *cobra.Command, a *account.Account, p rollout.Progress) error {
	if p.Failed == 0 {
		return nil
	}
	failed, err := ended(c.Context(), a, p, (*account.Execution).Failed)
	var jobs folded
	for _, e := range failed {
		jobs.add("", &e)
	}
	jobs.print(c.ErrOrStderr())
	if p.Failed > len(failed) && err == nil {
		fmt.Fprintf(c.ErrOrStderr(), "and %d more: 'fieldbridge-fleet status' tells them\n", p.Failed-len(failed))
	}
	return err
}

// ended returns what gateways said of jobs, of those that are wanted and at most so many
// as are told in full.
func ended(ctx context.Context, a *account.Account, p rollout.Progress,
	want func(*account.Execution) bool) (found []account.Execution, err error) {
	found = []account.Execution{} // a list for programs, too, where nobody said anything
	for _, j := range p.Jobs {
		all, err := a.Executions(ctx, j.ID)
		if err != nil {
			return found, err
		}
		for _, e := range all {
			if !want(&e) || len(found) == most {
				continue
			}
			if err := a.Tell(ctx, &e); err != nil {
				return found, err
			}
			found = append(found, e)
		}
	}
	return found, nil
}

// reason tells in a line what a gateway says of a job.
func reason(details map[string]string) string {
	var parts []string
	for _, name := range []string{"step", "percent", "from", "to", "version", "rolled_back", "error"} {
		if v := details[name]; v != "" {
			parts = append(parts, name+" "+words.Printable(v))
		}
	}
	return strings.Join(parts, ", ")
}

// barWidth is in characters.
const barWidth = 30

// bar returns what shows progress at w: a bar that moves on a terminal, else a line
// for each change.
func bar(w io.Writer, terminal bool) func(stage string, p rollout.Progress) {
	return func(stage string, p rollout.Progress) {
		over := p.Succeeded + p.Failed + p.Canceled
		all := over + p.Queued + p.Running
		text := fmt.Sprintf("%s: %d of %d done, %d at it, %d failed, job %s %s", stage, p.Succeeded, all, p.Running,
			p.Failed, p.ID, strings.ToLower(strings.ReplaceAll(p.Status, "_", " ")))
		if !terminal {
			fmt.Fprintln(w, text)
			return
		}
		filled := barWidth * over / max(all, 1)
		fmt.Fprintf(w, "\r\x1b[K[%s%s] %s", strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled), text)
		if p.Ended() {
			fmt.Fprintln(w)
		}
	}
}

// stopped is a job that pause has ended, and how far it was.
type stopped struct {
	Job     string `json:"job"`
	Done    int    `json:"done"`     // gateways
	AtIt    int    `json:"at_it"`    // they go on, or were told to stop by --force
	LeftOut int    `json:"left_out"` // they get nothing
}

// settling is how long after a pause it is looked whether a rollout that was watched
// elsewhere has begun another job, before it saw that it was stopped.
const settling = 3 // times poll

func pauseCommand() *cobra.Command {
	c := &cobra.Command{Use: "pause [--force] [--json]", Short: "cancel all jobs of this tool that are not over: all " +
		"rollouts stop", Args: takes(cobra.NoArgs), Long: "It looks until no job is begun any more. Commands that " +
		"watch a rollout see it, and end with exit code 3."}
	force := c.Flags().Bool("force", false, "also where a gateway is at it: it finishes or takes it back by itself")
	asJSON := c.Flags().Bool("json", false, "print the jobs for programs")
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := open(c)
		if err != nil {
			return err
		}
		all, err := pause(c, a, *force)
		if *asJSON {
			err = errors.Join(err, words.JSON(c.OutOrStdout(), map[string][]stopped{"canceled": all}))
		} else if len(all) == 0 && err == nil {
			fmt.Fprintln(c.ErrOrStderr(), "no job is under way")
		}
		return err
	}
	return c
}

// pause cancels jobs until there are none.
func pause(c *cobra.Command, a *account.Account, force bool) ([]stopped, error) {
	all, tried := []stopped{}, map[string]bool{}
	var errs []error
	for {
		ids, err := a.Jobs(c.Context(), rollout.Prefix)
		if err != nil {
			return all, errors.Join(append(errs, err)...)
		}
		ids = slices.DeleteFunc(ids, func(id string) bool { return tried[id] })
		if len(ids) == 0 {
			return all, errors.Join(errs...)
		}
		slices.Sort(ids)
		for _, id := range ids { // each of them, though one cannot be canceled
			tried[id] = true
			was, err := a.Job(c.Context(), id)
			if err == nil {
				err = a.CancelJob(c.Context(), id, "PAUSED", force)
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			s := stopped{id, was.Succeeded + was.Failed, was.Running, len(was.Things) - was.Succeeded - was.Failed - was.Running}
			if len(was.Things) == 0 { // of groups
				s.LeftOut = was.Queued
			}
			all = append(all, s)
			fmt.Fprintf(c.ErrOrStderr(), "job %s is canceled: %d gateways had done it, %d are at it, %d are left out\n", id,
				s.Done, s.AtIt, s.LeftOut)
		}
		select {
		case <-c.Context().Done():
			return all, errors.Join(append(errs, c.Context().Err())...)
		case <-time.After(settling * poll):
		}
	}
}
