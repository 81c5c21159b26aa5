package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/glance"
	"fieldbridge/cmd/fieldbridge/paint"
	"fieldbridge/cmd/fieldbridge/words"
)

// testCommand reads once all that a file names.
func testCommand() *cobra.Command {
	c := newCommand("test FILE [--gateway NAME] [--listen 10s] [--watch] [--json]",
		"read all points once and listen to sensors: no cloud, no certificate, no queue, nothing is written", 1)
	gateway := c.Flags().String("gateway", "", "the `NAME` of the gateway in a fleet file")
	listen := c.Flags().Duration("listen", 10*time.Second, "listen to sensors for `TIME`; 0 does not")
	watch := c.Flags().Duration("watch", 0, "look again `TIME` after the look before, until Ctrl-C; 1s unless given")
	c.Flags().Lookup("watch").NoOptDefVal = "1s"
	asJSON := c.Flags().Bool("json", false, "print for programs")
	return does(c, func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		if len(args) == 0 {
			return misuse(errors.New("which file? 'fieldbridge test FILE'"))
		}
		loaded, err := glance.Load(ctx, args[0], *gateway)
		if err != nil {
			return wrongFile(err)
		}
		g := glance.Glance{Config: &loaded.Config, Listen: *listen, JSON: *asJSON, Terminal: words.Terminal(stdout),
			Data: paint.On(loaded.Hidden.Writer(stdout), stdout), People: paint.On(stderr, stderr)}
		if *watch > 0 {
			return g.Watch(ctx, *watch)
		}
		return g.Once(ctx)
	})
}
