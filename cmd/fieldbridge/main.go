// Command fieldbridge runs the gateway and helps to set it up.
//
// Each subcommand is one file. Exit codes: 0 done, 1 failed, 2 wrong usage or
// configuration. Human output goes to stderr, data to stdout.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes (DESIGN §7).
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// command is a subcommand.
type command struct {
	name    string
	usage   string // its arguments
	summary string // one line
	run     func(ctx context.Context, args []string, stdout, stderr io.Writer) int
}

// commands in the order of their use by a newcomer.
func commands() []command {
	return []command{
		{"demo", "[--outage 20s] [--for 1m] [--dir DIR]", "run everything on this machine: simulated devices, the gateway and a local cloud", runDemo},
		{"init", "[FILE] [flags]", "write a first configuration, by asking or by flags", runInit},
		{"check", "FILE [--gateway NAME] [--json]", "check a configuration: every error, or what the gateway will do", ignoreContext(runCheck)},
		{"identity", "check FILE [--gateway NAME] [--connect] [--json]", "check certificate and connection step by step, up to AWS's CONNACK", runIdentity},
		{"fleet", "COMMAND", "list, check, render and compare the gateways of a fleet file", ignoreContext(runFleet)},
		{"run", "FILE [--gateway NAME]", "run the gateway", runRun},
		{"reload", "[FILE | DIR] [--confirm 5m] [--good 100%]", "make a running gateway read its file again; with --confirm on trial", runReload},
		{"status", "[FILE | DIR] [--json]", "tell how a running gateway is doing", runStatus},
		{"values", "DEVICE [FILE | DIR] [--wait 10s] [--json]", "print the newest readings of a device of a running gateway", runValues},
		{"commands", "[off | on] [FILE | DIR] [--json]", "turn all commands of the cloud off on this machine, or on again, or tell which it is", runCommands},
		{"sensors", "[FILE | DIR] [--json]", "list the topics that sensors used: which rule took them, the last payload, and those that no rule takes", runSensors},
		{"queue", "COMMAND [FILE | DIR]", "inspect, verify, export and purge a queue and its dead letters", runQueue},
		{"ledger", "[--partial] [--json] [FILE ...]", "check by the cloud's messages alone that nothing is missing silently", runLedger},
		{"modbus", "read | write | decode | scan ...", "ask devices by hand: read, write, find out what is there and how it is meant", runModbus},
		{"cloud", "[--listen 127.0.0.1:8883] [--dir cloud]", "run the local stand-in for AWS IoT Core, to try a gateway against", runCloud},
		{"version", "", "print the version", runVersion},
	}
}

func ignoreContext(run func([]string, io.Writer, io.Writer) int) func(context.Context, []string, io.Writer, io.Writer) int {
	return func(_ context.Context, args []string, stdout, stderr io.Writer) int { return run(args, stdout, stderr) }
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(dispatch(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// dispatch runs the subcommand that args name.
func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		printUsage(stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		printUsage(stdout)
		return exitDone
	case "-version", "--version":
		args = []string{"version"}
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, args[1:], stdout, stderr)
		}
	}
	fmt.Fprintf(stderr, "fieldbridge: no command %q: run 'fieldbridge help' for the list\n", args[0])
	return exitUsage
}

func printUsage(w io.Writer) {
	fmt.Fprint(w, "Fieldbridge takes the readings of Modbus devices and MQTT sensors to AWS IoT Core and loses none silently.\n\nUsage: fieldbridge COMMAND\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-10s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\n'fieldbridge COMMAND -h' tells its arguments. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.\n")
}

// newFlags returns the flag set of a subcommand. Flags may stand before and
// after the arguments.
func newFlags(name string, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		for _, c := range commands() {
			if c.name == name {
				fmt.Fprintf(stderr, "Usage: fieldbridge %s %s\n%s\n", c.name, c.usage, c.summary)
			}
		}
		flags.PrintDefaults()
	}
	return flags
}

// parseFlags parses args and returns those that are no flags; a negative number
// is none. If it reports false, the command ends with code.
func parseFlags(flags *flag.FlagSet, args []string, most int) (rest []string, code int, ok bool) {
	usage := flags.Usage
	flags.Usage = func() {} // a mistake is told in a line that stays in sight
	defer func() { flags.Usage = usage }()
	for len(args) > 0 {
		if isNegative(args[0]) {
			rest, args = append(rest, args[0]), args[1:]
			continue
		}
		if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
			usage()
			return nil, exitDone, false
		} else if err != nil {
			fmt.Fprintf(flags.Output(), "'fieldbridge %s -h' tells more\n", flags.Name())
			return nil, exitUsage, false
		}
		if flags.NArg() == 0 {
			break
		}
		rest, args = append(rest, flags.Arg(0)), flags.Args()[1:]
	}
	if len(rest) > most {
		fmt.Fprintf(flags.Output(), "fieldbridge %s: unexpected argument %q: 'fieldbridge %s -h' tells more\n", flags.Name(), rest[most], flags.Name())
		return nil, exitUsage, false
	}
	return rest, exitDone, true
}

// isNegative reports whether an argument is a number below zero.
func isNegative(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && (arg[1] >= '0' && arg[1] <= '9' || arg[1] == '.')
}
