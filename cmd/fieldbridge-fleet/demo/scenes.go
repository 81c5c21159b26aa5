package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"fieldbridge/northbound/awsiot/awsiottest/jobs"
)

// scene is a part of the demo.
type scene struct {
	title string
	play  func() error
}

// The exit codes of the tool that are expected.
const (
	done    = 0
	stopped = 3
)

// settled is how long something may take that takes seconds on a machine with nothing
// else to do.
const settled = 3 * time.Minute

// quick is how many scenes take only a second or two.
const quick = 3

func (d *demo) scenes() []scene {
	flaw := func(f flawed) func() error { return func() error { return d.flawedUpdate(f) } }
	return []scene{
		{"the account is made for the fleet", d.made},
		{"all gateways run the file of the repository", func() error { return d.told("current", len(d.gateways)) }},
		{"what a good change would do", d.planned},
		{"the good change goes to all", d.goodChange},
		{"a bad change: the canaries take it back by themselves, and the rollout stops", d.badChange},
		{"the change is reverted in git: nothing is left to do", d.reverted},
		{"the program is updated on all: " + first + " to " + next, d.goodUpdate},
		{"a release that crashes: " + crashing, flaw(flawed{crashing, rootKey, signingKey, jobs.Failed,
			func() (string, error) { return d.small("crashes", crashes) }})},
		{"a release that hangs: " + hanging, d.hungUpdate},
		{"a release that cannot connect: " + deaf, flaw(flawed{deaf, rootKey, signingKey, jobs.Failed, d.unconnected})},
		{"a release that a stranger has signed: " + foreign, flaw(flawed{foreign, strangerKey, signingKey, jobs.Rejected,
			func() (string, error) { return d.gatewayProgram(foreign) }})},
		{"an old release: " + old, flaw(flawed{old, rootKey, signingKey, jobs.Rejected,
			func() (string, error) { return d.gatewayProgram(old) }})},
		{"an order that a stranger has signed", flaw(flawed{unwanted, rootKey, strangerKey, jobs.Rejected,
			func() (string, error) { return d.gatewayProgram(unwanted) }})},
		{"the order of the release that crashes is replayed on another gateway", d.replayed},
	}
}

// The files of keys, as the operator names them.
const (
	rootKey     = "../root.key"
	signingKey  = "../signing.key"
	strangerKey = "../stranger.key"
)

// must calls the tool and notes another exit code than that.
func (d *demo) must(code int, words ...string) error {
	got, err := d.call(words...)
	d.mustBe(err != nil || got == code, "exit code %d of '%s', not %d", got, words[0], code)
	return err
}

func (d *demo) made() error {
	if err := d.must(done, "create", "fleet.yaml", "--bucket", "presses", "--plan"); err != nil {
		return err
	}
	return d.must(done, "create", "fleet.yaml", "--bucket", "presses")
}

// told waits until as many gateways have told that they are in a state, and shows it.
func (d *demo) told(state string, want int) error {
	err := d.eventually(fmt.Sprintf("%d gateways are %s", want, state), settled, func() (bool, error) {
		code, out, err := d.quietly(io.Discard, "status", "fleet.yaml", "--json")
		if err != nil {
			return false, err
		}
		var rows []struct{ State string }
		if code != done || json.Unmarshal([]byte(out), &rows) != nil {
			return false, nil
		}
		n := 0
		for _, r := range rows {
			if r.State == state {
				n++
			}
		}
		return n == want, nil
	})
	if err != nil {
		return err
	}
	return d.must(done, "status", "fleet.yaml")
}

// deploy calls the tool for the file as it is.
func (d *demo) deploy(code int) error {
	return d.must(code, "deploy", "fleet.yaml", "--group", "canary", "--then", "rest", "--bucket", "presses", "--key",
		signingKey, "--confirm", "5s", "--rate", "1000")
}

func (d *demo) planned() error {
	if err := d.commit("presses count their strokes", goodPoints); err != nil {
		return err
	}
	return d.must(done, "deploy", "fleet.yaml", "--group", "canary", "--then", "rest", "--plan")
}

func (d *demo) goodChange() error {
	from := d.mark()
	if err := d.deploy(done); err != nil {
		return err
	}
	if err := d.since(from, len(d.gateways), jobs.Succeeded); err != nil {
		return err
	}
	return d.told("current", len(d.gateways))
}

func (d *demo) badChange() error {
	if err := d.commit("force is at the address of another press", brokenPoints); err != nil {
		return err
	}
	from := d.mark()
	if err := d.deploy(stopped); err != nil {
		return err
	}
	if err := d.since(from, d.fleet.canaries, jobs.Failed); err != nil {
		return err
	}
	return d.told("behind", len(d.gateways))
}

func (d *demo) reverted() error {
	if err := d.git("revert", "--no-edit", "HEAD"); err != nil {
		return err
	}
	from := d.mark()
	if err := d.deploy(done); err != nil {
		return err
	}
	if err := d.since(from, 0, jobs.Succeeded); err != nil {
		return err
	}
	return d.told("current", len(d.gateways))
}

// replayed has somebody who may create jobs, and has no key, give the last gateway an
// order that was signed for a canary.
func (d *demo) replayed() error {
	var document string
	for _, j := range d.account.Jobs.All() {
		if strings.Contains(j.ID, "update-"+crashing) || strings.Contains(j.Description, crashing) {
			document = j.Document
		}
	}
	d.mustBe(document != "", "there is no order of release %s", crashing)
	victim := d.gateways[len(d.gateways)-1].name
	from := d.mark()
	fmt.Fprintln(d.w, "somebody else creates the job 'replay' for", victim, "with the document of a canary's")
	if err := d.account.Jobs.Create(jobs.Job{ID: "replay", Document: document, Things: []string{victim}}); err != nil {
		return err
	}
	err := d.eventually("the job has ended", settled, func() (bool, error) {
		j, _ := d.account.Jobs.Get("replay")
		return j.Status == jobs.Completed, nil
	})
	if err != nil {
		return err
	}
	for _, e := range d.account.Jobs.Executions("replay", victim) {
		fmt.Fprintf(d.w, "%s: %s, %s\n", victim, e.Status, e.Details["error"])
	}
	if err := d.since(from, 1, jobs.Rejected); err != nil {
		return err
	}
	return d.allRun(next)
}
