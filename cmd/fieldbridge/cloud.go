package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/demo"
)

func cloudCommand() *cobra.Command {
	c := newCommand("cloud [--listen 127.0.0.1:8883] [--dir cloud]",
		"run the local stand-in for AWS IoT Core, to try a gateway against", 0)
	var o demo.CloudOptions
	c.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:8883", "`ADDRESS` and port")
	c.Flags().StringVar(&o.Dir, "dir", "cloud",
		"`FOLDER` for the CA, the certificates and keys; those of an earlier run are used again")
	c.Flags().StringVar(&o.Thing, "thing", "press-line-2",
		"`NAME` of the thing whose certificate is made: the gateway's name")
	return does(c, func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
		if err := demo.Cloud(ctx, o, stdout, stderr); err != nil {
			return err
		}
		return nil
	})
}
