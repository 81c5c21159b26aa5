package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/configs"
	"fieldbridge/gateway/control"
)

func statusCommand() *cobra.Command {
	c := newCommand("status [FILE | DIR] [--json]", "tell how a running gateway is doing", 1)
	return asksGateway(c, "/status", printStatus)
}

// askTimeout is how long a running gateway may take to tell how it is.
const askTimeout = 10 * time.Second

// asksGateway makes c ask a running gateway for a page and print it, for people
// or as it came.
func asksGateway[T any](c *cobra.Command, page string, print func(w io.Writer, answer T)) *cobra.Command {
	asJSON := c.Flags().Bool("json", false, "print all of it as JSON")
	return does(c, func(ctx context.Context, args []string, stdout, _ io.Writer) error {
		data, err := askGateway(ctx, page, args)
		if err != nil {
			return err
		}
		if *asJSON {
			_, err := stdout.Write(data)
			return err
		}
		var answer T
		if err := json.Unmarshal(data, &answer); err != nil {
			return fmt.Errorf("the gateway's answer cannot be read: %w: is it of another version?", err)
		}
		print(stdout, answer)
		return nil
	})
}

// askGateway asks the gateway that the arguments of a command name for a page.
func askGateway(ctx context.Context, page string, args []string) ([]byte, error) {
	dir, err := queueDir(ctx, args)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return control.Get(ctx, dir, page)
}

// queueDir returns the queue directory that the argument names: a
// configuration, the directory itself, or nothing for ./queue.
func queueDir(ctx context.Context, args []string) (string, error) {
	if len(args) == 0 {
		return "queue", nil
	}
	info, err := os.Stat(args[0])
	if err != nil {
		return "", wrongFile(err)
	}
	if info.IsDir() {
		return args[0], nil
	}
	// The gateway may run although the file has become wrong.
	if dir := configs.QueueDir(ctx, args[0], ""); dir != "" {
		return dir, nil
	}
	loaded, err := configs.Load(ctx, args[0])
	if err != nil {
		return "", wrongFile(err)
	}
	return string(loaded.Config.Store.Dir), nil
}

// printStatus tells it to a person: first who, then the uplink and the queue,
// then the devices, and last what is wrong and what to do.
func printStatus(w io.Writer, s control.Status) {
	fmt.Fprintf(w, "%s  up %s  run %s  version %s  configuration %.12s\n\n", s.Gateway, words.Ago(s.Now.Sub(s.Started)),
		s.Run, s.Version, s.Config)
	if c := s.Change; c != nil {
		fmt.Fprintf(w, "config   %s, applied %s ago", c.Origin, words.Ago(s.Now.Sub(c.Applied)))
		if !c.OnTrial.IsZero() {
			fmt.Fprintf(w, ", on trial for %s more", words.Ago(c.OnTrial.Sub(s.Now)))
		}
		fmt.Fprintln(w)
	}
	link := "not connected"
	if s.Link.Connected {
		link = "connected"
	}
	fmt.Fprintf(w, "uplink   %s to %s", link, s.Link.Endpoint)
	if !s.Link.Since.IsZero() {
		fmt.Fprintf(w, " since %s", words.Ago(s.Now.Sub(s.Link.Since)))
	}
	fmt.Fprintln(w)
	if s.Link.Detail != "" {
		fmt.Fprintf(w, "         %s\n", s.Link.Detail)
	}
	if !s.Link.Connected && s.Link.Retry.After(s.Now) {
		fmt.Fprintf(w, "         next try in %s\n", words.Ago(s.Link.Retry.Sub(s.Now)))
	}
	printTLS(w, s)
	printQueue(w, s)
	printSwitch(w, s)
	printBuses(w, s.Buses)
	printDevices(w, s)
	if len(s.Conditions) == 0 {
		fmt.Fprintln(w, "\nhealth   all is well")
		return
	}
	fmt.Fprintln(w)
	for _, c := range s.Conditions {
		fmt.Fprintf(w, "%-8s %v (for %s)\n", c.Severity, c, words.Ago(s.Now.Sub(c.Since)))
	}
}

// printTLS tells what the connection is made of, and when certificates end.
func printTLS(w io.Writer, s control.Status) {
	if s.Link.TLS != "" {
		fmt.Fprintf(w, "         %s", s.Link.TLS)
		if c := s.Link.Server; c != nil {
			fmt.Fprintf(w, ", server certificate until %s", c.Expires.UTC().Format(time.DateOnly))
		}
		fmt.Fprintln(w)
	}
	if c := s.Link.Own; c != nil {
		fmt.Fprintf(w, "         own certificate until %s (%s)\n", c.Expires.UTC().Format(time.DateOnly),
			words.Ago(c.Expires.Sub(s.Now)))
	}
}

func printQueue(w io.Writer, s control.Status) {
	q, l := &s.Queue, &s.Queue.Ledger
	fmt.Fprintf(w, "queue    %s readings wait (%s of them backlog), %s on disk", words.Thousands(l.Waiting.Readings),
		words.Thousands(q.Backlog.Readings), words.Bytes(q.Bytes))
	if !q.Oldest.IsZero() && l.Waiting.Readings > 0 {
		fmt.Fprintf(w, ", the oldest %s old", words.Ago(s.Now.Sub(q.Oldest)))
	}
	if q.FullIn > 0 && !s.Link.Connected {
		fmt.Fprintf(w, "; at this rate full in %s", words.Ago(q.FullIn))
	}
	fmt.Fprintf(w, "\n         since the start: %s accepted, %s found, %s acknowledged, %s dropped, %s damaged; %s "+
		"dead letters\n",
		words.Thousands(l.Accepted.Readings), words.Thousands(l.Restored.Readings), words.Thousands(l.Acked.Readings),
		words.Thousands(l.Dropped.Readings), words.Thousands(l.Damaged.Readings), words.Thousands(l.Dead.Readings))
}

func printBuses(w io.Writer, buses []bridge.BusStatus) {
	if len(buses) == 0 {
		return
	}
	fmt.Fprintln(w, "\nbuses")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, b := range buses {
		state := fmt.Sprintf("load %.0f %%", 100*b.Load)
		if !b.Down.IsZero() {
			state = "down"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s requests\t%s late cycles\t%s\n", b.Bus, b.Address, state,
			words.Thousands(b.Requests), words.Thousands(b.Late), b.Detail)
	}
	_ = t.Flush()
}

func printDevices(w io.Writer, s control.Status) {
	if len(s.Devices) == 0 {
		return
	}
	fmt.Fprintln(w, "\ndevices")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range s.Devices {
		state := fmt.Sprintf("%d good", d.Good)
		if d.Bad > 0 {
			state += fmt.Sprintf(", %d bad: %s", d.Bad, cmp.Or(d.Reason, "unknown"))
		}
		last := "never read"
		if !d.Last.IsZero() {
			last = words.Ago(s.Now.Sub(d.Last)) + " ago"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", d.Device, d.Via, state, last, d.Detail)
	}
	_ = t.Flush()
}
