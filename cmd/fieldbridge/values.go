package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/gateway/control"
)

// valuesCommand prints the newest readings of a device of a running gateway.
func valuesCommand() *cobra.Command {
	c := newCommand("values DEVICE [FILE | DIR] [--wait 10s] [--json]",
		"print the newest readings of a device of a running gateway", 2)
	wait := c.Flags().Duration("wait", 10*time.Second, "wait `TIME` for a reading")
	asJSON := c.Flags().Bool("json", false, "print all of it as JSON")
	c.ValidArgsFunction = completeDevice
	return does(c, func(ctx context.Context, args []string, stdout, _ io.Writer) error {
		if len(args) == 0 {
			return misuse(errors.New("of which device? 'fieldbridge values DEVICE [FILE]'; 'fieldbridge status' lists them"))
		}
		dir, err := queueDir(ctx, args[1:])
		if err != nil {
			return err
		}
		data, answer, err := awaitValues(ctx, dir, args[0], *wait)
		if err != nil {
			return err
		}
		if *asJSON {
			_, err := stdout.Write(data)
			return err
		}
		t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
		for _, p := range answer.Points {
			text := p.Text
			if p.Bad != "" {
				text = "bad: " + p.Bad
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s ago\n", p.Point, text, p.Unit, words.Ago(answer.Now.Sub(p.At)))
		}
		_ = t.Flush()
		return nil
	})
}

// completeDevice completes the first argument with the devices of the gateway whose
// queue is ./queue, the next one with files.
func completeDevice(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	data, err := askGateway(c.Context(), "/status", nil)
	var s control.Status
	if err != nil || json.Unmarshal(data, &s) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, d := range s.Devices {
		names = append(names, cobra.CompletionWithDesc(d.Device, d.Via))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// awaitValues asks until there is a reading.
func awaitValues(ctx context.Context, dir, device string, wait time.Duration) ([]byte, control.Values, error) {
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	enough := time.After(wait)
	for {
		var answer control.Values
		asked, cancel := context.WithTimeout(ctx, askTimeout)
		data, err := control.Get(asked, dir, "/devices/"+url.PathEscape(device))
		cancel()
		if err == nil {
			err = json.Unmarshal(data, &answer)
		}
		if err != nil || len(answer.Points) > 0 {
			return data, answer, err
		}
		select {
		case <-ctx.Done():
			return nil, answer, ctx.Err()
		case <-enough:
			return nil, answer, fmt.Errorf("nothing was read of %s in %s: is it polled less often (--wait), or silent "+
				"('fieldbridge status')?", device, wait)
		case <-again.C:
		}
	}
}
