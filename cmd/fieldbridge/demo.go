package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/demo"
)

func demoCommand() *cobra.Command {
	c := newCommand("demo [--outage 20s] [--for 1m] [--dir DIR]",
		"run everything on this machine: simulated devices, the gateway and a local cloud", 0)
	o := demo.Options{Version: version}
	c.Flags().DurationVar(&o.Outage, "outage", 0,
		"cut the cloud for so long, 10 s after the start, and end when everything has arrived")
	c.Flags().DurationVar(&o.For, "for", 0, "end after so long; else at Ctrl-C")
	c.Flags().StringVar(&o.Dir, "dir", "",
		"keep configuration, queue, certificates and log here; else a temporary directory")
	return does(c, func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
		if err := demo.Run(ctx, o, stdout); err != nil {
			return err
		}
		return nil
	})
}
