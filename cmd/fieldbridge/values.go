package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"text/tabwriter"
	"time"

	"fieldbridge/gateway/control"
)

// runValues prints the newest readings of a device of a running gateway.
func runValues(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := newFlags("values", stderr)
	wait := flags.Duration("wait", 10*time.Second, "wait `TIME` for a reading")
	asJSON := flags.Bool("json", false, "print all of it as JSON")
	rest, code, ok := parseFlags(flags, args, 2)
	if !ok {
		return code
	}
	if len(rest) == 0 {
		fmt.Fprintln(stderr, "fieldbridge values: of which device? 'fieldbridge values DEVICE [FILE]'; 'fieldbridge status' lists them")
		return exitUsage
	}
	dir, err := queueDir(rest[1:])
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	data, answer, err := awaitValues(ctx, dir, rest[0], *wait)
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge values: %v\n", err)
		return exitFailed
	}
	if *asJSON {
		stdout.Write(data)
		return exitDone
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, p := range answer.Points {
		text := p.Text
		if p.Bad != "" {
			text = "bad: " + p.Bad
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s ago\n", p.Point, text, p.Unit, ago(answer.Now.Sub(p.At)))
	}
	t.Flush()
	return exitDone
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
			return nil, answer, fmt.Errorf("nothing was read of %s in %s: is it polled less often (--wait), or silent ('fieldbridge status')?", device, wait)
		case <-again.C:
		}
	}
}
