package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot/remote"
)

// commandsCommand turns the cloud's commands off or on, or tells which it is.
func commandsCommand() *cobra.Command {
	c := newCommand("commands [off | on] [FILE | DIR] [--json]",
		"turn all commands of the cloud off on this machine, or on again, or tell which it is", 2)
	asJSON := c.Flags().Bool("json", false, "print the answer as JSON")
	c.ValidArgs = []cobra.Completion{"off", "on"}
	return does(c, func(ctx context.Context, args []string, stdout, _ io.Writer) error {
		turn := ""
		if len(args) > 0 && (args[0] == "off" || args[0] == "on") {
			turn, args = args[0], args[1:]
		}
		if len(args) > 1 {
			return misuse(fmt.Errorf("%q is neither off nor on", args[0]))
		}
		dir, err := queueDir(ctx, args)
		if err != nil {
			return err
		}
		status, running, err := control.TurnAt(ctx, dir, control.Turn(turn))
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(stdout, status)
		}
		fmt.Fprintln(stdout, commandsText(status, running))
		return nil
	})
}

// commandsText says it for people.
func commandsText(s remote.CommandStatus, running bool) string {
	var text string
	switch {
	case s.Off && running:
		text = fmt.Sprintf("off since %s: none is under way, and none will be carried out until 'fieldbridge commands "+
			"on', over restarts, too", s.Since.Local().Format(time.DateTime))
	case s.Off:
		text = fmt.Sprintf("off since %s: no gateway is running; when it starts, none will be carried out until "+
			"'fieldbridge commands on'", s.Since.Local().Format(time.DateTime))
	case !running:
		text = "on, as far as they are configured; no gateway is running"
	case len(s.Ways) == 0:
		text = "on, but none are configured: see northbound.awsiot.commands"
	default:
		text = "on, by " + strings.Join(s.Ways, ", ")
	}
	return "commands of the cloud are " + text
}

// printSwitch tells whether the cloud may command the gateway, and what it
// changed for a while.
func printSwitch(w io.Writer, s control.Status) {
	switch {
	case s.Commands.Off:
		fmt.Fprintf(w, "commands switched off on the machine for %s: 'fieldbridge commands on' lets them in again\n",
			words.Ago(s.Now.Sub(s.Commands.Since)))
	case len(s.Commands.Ways) > 0:
		fmt.Fprintf(w, "commands by %s\n", strings.Join(s.Commands.Ways, ", "))
	}
	for _, i := range s.Intervals {
		fmt.Fprintf(w, "         %s is polled every %v instead of %v for %s more\n", i.Device, i.Every, i.Usual,
			words.Ago(i.Until.Sub(s.Now)))
	}
}
