package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot"
	"fieldbridge/setting"
)

// runReload asks a running gateway to read its file again.
func runReload(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := newFlags("reload", stderr)
	confirm := flags.String("confirm", "0", "take the change back unless the link and the points are well after this `TIME`, as 5m")
	good := flags.String("good", "100%", "the `SHARE` of the points that were good and must be good again")
	rest, code, ok := parseFlags(flags, args, 1)
	if !ok {
		return code
	}
	var share awsiot.Share
	var wait setting.Duration
	if err := errors.Join(wait.UnmarshalText([]byte(*confirm)), share.UnmarshalText([]byte(*good))); err != nil {
		fmt.Fprintf(stderr, "fieldbridge reload: %v\n", err)
		return exitUsage
	}
	dir, err := queueDir(rest)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	done, err := control.ReloadPage.Ask(ctx, dir, control.Reload{Confirm: wait.D(), Good: float64(share)})
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge reload: %v\n", err)
		if errors.Is(err, control.ErrNotRunning) {
			fmt.Fprintln(stderr, "name the configuration that it runs, or its queue directory: fieldbridge reload FILE")
		}
		return exitFailed
	}
	fmt.Fprintln(stdout, done)
	return exitDone
}
