package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/tell"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/gateway/control"
)

// commandsCommand turns the cloud's commands off or on, or tells which it is.
func commandsCommand() *cobra.Command {
	c := newCommand("commands [off | on] [FILE | DIR] [--json]",
		"turn all commands of the cloud off on this machine, or on again, or tell which it is", 2)
	asJSON := c.Flags().Bool("json", false, "print the answer as JSON")
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
			return words.JSON(stdout, status)
		}
		fmt.Fprintln(stdout, tell.Commands(status, running))
		return nil
	})
}
