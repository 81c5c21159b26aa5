package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot"
	"fieldbridge/setting"
)

// reloadCommand asks a running gateway to read its file again.
func reloadCommand() *cobra.Command {
	c := newCommand("reload [FILE | DIR] [--confirm 5m] [--good 100%]",
		"make a running gateway read its file again; with --confirm on trial", 1)
	confirm := c.Flags().String("confirm", "0",
		"take the change back unless the link and the points are well after this `TIME`, as 5m")
	good := c.Flags().String("good", "100%", "the `SHARE` of the points that were good and must be good again")
	return does(c, func(ctx context.Context, args []string, stdout, _ io.Writer) error {
		var share awsiot.Share
		var wait setting.Duration
		if err := errors.Join(wait.UnmarshalText([]byte(*confirm)), share.UnmarshalText([]byte(*good))); err != nil {
			return misuse(err)
		}
		dir, err := queueDir(ctx, args)
		if err != nil {
			return err
		}
		done, err := control.ReloadPage.Ask(ctx, dir, control.Reload{Confirm: wait.D(), Good: float64(share)})
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, done)
		return nil
	})
}
