package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot"
)

// runCommands turns the cloud's commands off or on, or tells which it is.
func runCommands(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := newFlags("commands", stderr)
	asJSON := flags.Bool("json", false, "print the answer as JSON")
	rest, code, ok := parseFlags(flags, args, 2)
	if !ok {
		return code
	}
	turn := ""
	if len(rest) > 0 && (rest[0] == "off" || rest[0] == "on") {
		turn, rest = rest[0], rest[1:]
	} else if len(rest) > 1 {
		fmt.Fprintf(stderr, "fieldbridge commands: %q is neither off nor on\n", rest[0])
		return exitUsage
	}
	dir, err := queueDir(rest)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	status, running, err := control.TurnAt(ctx, dir, control.Turn(turn))
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge commands: %v\n", err)
		if errors.Is(err, control.ErrNotRunning) {
			fmt.Fprintln(stderr, "name the configuration that it runs, or its queue directory: fieldbridge commands "+strings.TrimSpace(turn+" FILE"))
		}
		return exitFailed
	}
	if *asJSON {
		return printJSON(stdout, stderr, status)
	}
	fmt.Fprintln(stdout, commandsText(status, running))
	return exitDone
}

// commandsText says it for people.
func commandsText(s awsiot.CommandStatus, running bool) string {
	var text string
	switch {
	case s.Off && running:
		text = fmt.Sprintf("off since %s: none is under way, and none will be carried out until 'fieldbridge commands on', over restarts, too", s.Since.Local().Format(time.DateTime))
	case s.Off:
		text = fmt.Sprintf("off since %s: no gateway is running; when it starts, none will be carried out until 'fieldbridge commands on'", s.Since.Local().Format(time.DateTime))
	case !running:
		text = "on, as far as they are configured; no gateway is running"
	case len(s.Ways) == 0:
		text = "on, but none are configured: see northbound.awsiot.commands"
	default:
		text = "on, by " + strings.Join(s.Ways, ", ")
	}
	return "commands of the cloud are " + text
}

// printCommands tells whether the cloud may command the gateway, and what it
// changed for a while.
func printCommands(w io.Writer, s control.Status) {
	switch {
	case s.Commands.Off:
		fmt.Fprintf(w, "commands switched off on the machine for %s: 'fieldbridge commands on' lets them in again\n", ago(s.Now.Sub(s.Commands.Since)))
	case len(s.Commands.Ways) > 0:
		fmt.Fprintf(w, "commands by %s\n", strings.Join(s.Commands.Ways, ", "))
	}
	for _, i := range s.Intervals {
		fmt.Fprintf(w, "         %s is polled every %v instead of %v for %s more\n", i.Device, i.Every, i.Usual, ago(i.Until.Sub(s.Now)))
	}
}
