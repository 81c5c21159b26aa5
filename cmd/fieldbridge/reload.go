package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/tell"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/gateway/change"
	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot"
	"fieldbridge/setting"
	"fieldbridge/signed"
)

// reloadCommand asks a running gateway to read its file again.
func reloadCommand() *cobra.Command {
	c := newCommand("reload [FILE | DIR] [--confirm 5m [--wait]] [--good 100%] [--json]",
		"make a running gateway read its file again; with --confirm on trial", 1)
	confirm := c.Flags().String("confirm", "0",
		"take the change back unless the link and the points are well after this `TIME`, as 5m")
	stay := c.Flags().Bool("wait", false, "wait for the end of the trial; exit code 1: it was taken back")
	asJSON := c.Flags().Bool("json", false, "print the answer as JSON")
	good := c.Flags().String("good", "100%", "the `SHARE` of the points that were good and must be good again")
	return does(c, func(ctx context.Context, args []string, stdout, _ io.Writer) error {
		var share awsiot.Share
		var wait setting.Duration
		if err := errors.Join(wait.UnmarshalText([]byte(*confirm)), share.UnmarshalText([]byte(*good))); err != nil {
			return misuse(err)
		}
		if *stay && wait.D() <= 0 {
			return misuse(errors.New("--wait is for the end of a trial: add --confirm TIME"))
		}
		dir, err := queueDir(ctx, args)
		if err != nil {
			return err
		}
		done, err := control.ReloadPage.Ask(ctx, dir, control.Reload{Confirm: wait.D(), Good: float64(share)})
		if err != nil {
			return err
		}
		if !*asJSON {
			fmt.Fprintln(stdout, done)
		}
		outcome := reloaded{Applied: done}
		if *stay && done != change.Unchanged {
			if outcome.Verdict, outcome.TakenBack, err = trialEnds(ctx, dir); err != nil {
				return err
			}
		}
		if *asJSON {
			err = words.JSON(stdout, outcome)
		} else if outcome.Verdict != "" {
			fmt.Fprintln(stdout, outcome.Verdict)
		}
		if err == nil && outcome.TakenBack {
			return exit(exitFailed)
		}
		return err
	})
}

// reloaded is what a reload did, as JSON.
type reloaded struct {
	Applied   string `json:"applied"`           // for people
	Verdict   string `json:"verdict,omitempty"` // with --wait
	TakenBack bool   `json:"taken_back,omitempty"`
}

// trialEnds waits for the end of the trial of the gateway whose queue is in dir, and
// returns what became of it.
func trialEnds(ctx context.Context, dir string) (verdict string, takenBack bool, err error) {
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for hash := ""; ; {
		data, err := askDir(ctx, "/status", dir)
		var s control.Status
		if err == nil {
			err = json.Unmarshal(data, &s)
		}
		switch c := s.Change; {
		case err != nil:
			return "", false, fmt.Errorf("the trial goes on, and its end cannot be waited for: %w", err)
		case c == nil: // of another version
			return "", false, errors.New("the gateway does not tell of trials: it is of another version")
		case !c.OnTrial.IsZero():
			hash = cmp.Or(hash, c.Hash)
		case c.Problem != "" || hash != "" && c.Hash != hash:
			return c.Problem, true, nil
		default:
			return "confirmed: the link is up and the points are as good as before", false, nil
		}
		select {
		case <-ctx.Done():
			return "", false, errors.New("the trial goes on without you")
		case <-again.C:
		}
	}
}

// connectCommand has a running gateway try the uplink now.
func connectCommand() *cobra.Command {
	c := newCommand("connect [FILE | DIR] [--wait 30s] [--json]",
		"make a running gateway try its uplink now, in place of at its next time, and tell what became of it", 1)
	within := c.Flags().Duration("wait", 30*time.Second, "how long it may take, a minute at most")
	asJSON := c.Flags().Bool("json", false, "print the answer as JSON")
	return does(c, func(ctx context.Context, args []string, stdout, _ io.Writer) error {
		if *within <= 0 || *within > time.Minute {
			return misuse(fmt.Errorf("--wait %v: write a time up to 1m", *within))
		}
		dir, err := queueDir(ctx, args)
		if err != nil {
			return err
		}
		answer, err := control.ConnectPage.Ask(ctx, dir, control.Connect{Within: *within})
		switch {
		case err != nil:
			return err
		case *asJSON:
			err = words.JSON(stdout, answer)
		case answer.Link.Connected:
			fmt.Fprintf(stdout, "connected to %s since %s\n", answer.Link.Endpoint, words.Ago(time.Since(answer.Link.Since)))
		case !answer.Tried:
			return fmt.Errorf("not tried within %v: the pause that AWS asks of a client is kept, or the attempt still runs: "+
				"'fieldbridge status' tells", *within)
		default:
			return fmt.Errorf("not connected to %s: %s", answer.Link.Endpoint, answer.Link.Detail)
		}
		if err == nil && !answer.Link.Connected {
			return exit(exitFailed)
		}
		return err
	})
}

// updateCommand tells of the releases that take the place of the packaged program, and
// changes them by hand.
func updateCommand() *cobra.Command {
	return group("update COMMAND", "releases of the program that take the place of the packaged one",
		"A release must prove itself, and is given up for the one before when it does not.",
		updateStep(control.UpdateStatus, "status [FILE | DIR]", "tell which release runs, which is on trial, which failed"),
		updateStep(control.UpdateInstall, "install RELEASE [FILE | DIR]",
			"put the release in the folder RELEASE on trial: fieldbridge, release.json and its signature"),
		updateStep(control.UpdateCommit, "commit [FILE | DIR]", "keep the release on trial, before it has proved itself"),
		updateStep(control.UpdateRollback, "rollback [FILE | DIR]",
			"leave the release on trial, or the one that runs, for the one before, and never try it again"))
}

// updateStep returns the command of one step.
func updateStep(step control.UpdateStep, usage, summary string) *cobra.Command {
	c := newCommand(usage+" [--json]", summary, 1)
	asJSON := c.Flags().Bool("json", false, "print the answer as JSON")
	within := new(time.Duration)
	if step == control.UpdateInstall {
		c = newCommand(usage+" [--within 15m] [--json]", summary, 2)
		asJSON = c.Flags().Bool("json", false, "print the answer as JSON")
		within = c.Flags().Duration("within", 0, "how long it has to prove itself, 5m to 1h; by default updates.trial")
	}
	return does(c, func(ctx context.Context, args []string, stdout, _ io.Writer) (err error) {
		u := control.Update{Step: step, Within: *within}
		if step == control.UpdateInstall {
			if len(args) == 0 {
				return misuse(errors.New("which release? 'fieldbridge update install RELEASE', a folder"))
			}
			if *within != 0 && signed.CheckTrial(*within) != nil {
				return misuse(fmt.Errorf("--within %v: write a time from 5m to 1h", *within))
			}
			if u.Dir, err = filepath.Abs(args[0]); err != nil {
				return err
			}
			args = args[1:]
		}
		dir, err := queueDir(ctx, args)
		if err != nil {
			return err
		}
		releases, err := control.UpdatePage.Ask(ctx, dir, u)
		switch {
		case err != nil:
			return err
		case *asJSON:
			return words.JSON(stdout, releases)
		}
		tell.Releases(stdout, releases)
		return nil
	})
}
