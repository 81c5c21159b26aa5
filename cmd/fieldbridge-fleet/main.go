// Command fieldbridge-fleet is the operator's tool of a fleet of gateways: it signs
// orders, rolls them out as jobs of AWS IoT, and tells who runs what.
//
// Data goes to stdout, words about what happens to stderr; exitCodes says what the
// exit codes mean. It keeps nothing: what it did stands in the account.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge-fleet/account"
	"fieldbridge/cmd/fieldbridge-fleet/rollout"
	"fieldbridge/plain"
	"fieldbridge/setting"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(dispatch(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

const (
	exitDone = iota
	exitFailed
	exitUsage
	exitStopped
	exitUnder
)

// exitCodes are what the exit codes mean: the same for every command.
var exitCodes = map[int]string{
	exitDone:    "done, and what was looked at is well",
	exitFailed:  "failed, or refused by AWS",
	exitUsage:   "wrong usage or configuration: nothing was begun",
	exitStopped: "a rollout was stopped, as too many gateways failed: no later stage was begun",
	exitUnder:   "interrupted, or out of time: what was begun goes on, and the same command goes on watching it",
}

// usageError is wrong usage, or a file that is wrong.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// tree returns all commands, in the order of their use by a newcomer.
func tree() *cobra.Command {
	cobra.EnableCommandSorting = false
	root := &cobra.Command{Use: "fieldbridge-fleet COMMAND", SilenceErrors: true, SilenceUsage: true,
		Short: "Operate a fleet of Fieldbridge gateways from git, by signed jobs of AWS IoT.",
		Args:  cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return usageError{errors.New("say what to do: 'fieldbridge-fleet help' lists the commands")}
		}}
	root.PersistentFlags().String("region", "", "the AWS `REGION`; else AWS_REGION or the profile names it")
	root.AddCommand(checkCommand(), createCommand(), deployCommand(), updateCommand(), statusCommand(),
		orderCommand("rotate", "have gateways renew their certificates and keys"),
		orderCommand("diagnose", "have gateways say how they are"), pauseCommand(), signCommand(), cosignCommand(),
		newkeyCommand(), keysCommand(), releaseCommand())
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w: 'fieldbridge-fleet help %s' lists its flags", err, c.Name())}
	})
	for path, lines := range examples {
		c, _, err := root.Find([]string{path})
		if err == nil && c != root {
			c.Example = "  " + root.Name() + " " + strings.ReplaceAll(lines, "\n", "\n  "+root.Name()+" ")
		}
	}
	return root
}

// examples are commands as they are typed, a line each. A test parses them all.
var examples = map[string]string{
	"check":  "check fleet.yaml",
	"create": "create fleet.yaml --bucket acme-fleet --plan\ncreate fleet.yaml --bucket acme-fleet",
	"deploy": "deploy fleet.yaml --group canary --then rest --bucket acme-fleet " +
		"--key signing.key\n" +
		"deploy fleet.yaml --plan",
	"update": "update fleet.yaml release/linux-amd64 release/linux-arm64 --group canary --then rest --bucket acme-fleet " +
		"--key signing.key\n" +
		"update fleet.yaml release/linux-amd64 --plan",
	"status":   "status\nstatus fleet.yaml --json",
	"rotate":   "rotate --gateway press-line-2 --key signing.key",
	"diagnose": "diagnose --gateway press-line-2 --key signing.key",
	"pause":    "pause\npause --force",
	"release": "release dist/fieldbridge-1.2.0-linux-amd64.tar.gz dist/fieldbridge-1.2.0-linux-arm64.tar.gz " +
		"--key root.key --out release\n" +
		"release bin/fieldbridge --version 1.2.0 --key root.key --out release",
	"newkey": "newkey signing",
	"keys":   "keys signing.pub --key root.key",
	"cosign": "cosign orders.json --key second.key",
	"sign":   "sign restart --gateway press-line-2 --key signing.key",
}

// dispatch runs the command that args name.
func dispatch(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := tree()
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(args)
	c, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	unknown := strings.HasPrefix(err.Error(), "unknown command")
	text := plain.Text(err)
	if unknown { // cobra's own words name no other
		var names []string
		for _, sub := range root.Commands() {
			names = append(names, sub.Name())
		}
		text = fmt.Sprintf("there is no command %q: %s", args[0],
			setting.Meant(args[0], names, "'fieldbridge-fleet help' lists the commands"))
	}
	fmt.Fprintf(stderr, "%s: %s\n", c.CommandPath(), text)
	var wrong usageError
	switch {
	case errors.As(err, &wrong), unknown:
		return exitUsage
	case errors.Is(err, rollout.ErrStopped):
		return exitStopped
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return exitUnder
	}
	return exitFailed
}

// pace is how AWS is asked: AWS states quotas of its own for each call and account, and
// throttles who calls more. Tests do not wait.
var pace = account.Options{Pace: time.Second / 8, Wait: 20 * time.Second}

// open opens the account that the command's credentials are of.
func open(c *cobra.Command) (*account.Account, error) {
	o := pace
	o.Region, _ = c.Flags().GetString("region") // it is there
	return account.Open(c.Context(), o)
}

// takes makes wrong arguments wrong usage.
func takes(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}
