package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"fieldbridge/bridge"
	"fieldbridge/configs"
	"fieldbridge/gateway/control"
)

func runStatus(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return askGateway(ctx, "status", args, stdout, stderr, func(s control.Status) { printStatus(stdout, s) })
}

// askTimeout is how long a running gateway may take to tell how it is.
const askTimeout = 10 * time.Second

// askGateway is a command that asks a running gateway for the page of its name
// and prints it, for people or as it came.
func askGateway[T any](ctx context.Context, name string, args []string, stdout, stderr io.Writer, print func(T)) int {
	flags := newFlags(name, stderr)
	asJSON := flags.Bool("json", false, "print all of it as JSON")
	rest, code, ok := parseFlags(flags, args, 1)
	if !ok {
		return code
	}
	dir, err := queueDir(rest)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	data, err := control.Get(ctx, dir, "/"+name)
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge %s: %v\n", name, err)
		if errors.Is(err, control.ErrNotRunning) {
			fmt.Fprintf(stderr, "name the configuration that it runs, or its queue directory: fieldbridge %s FILE\n", name)
		}
		return exitFailed
	}
	if *asJSON {
		stdout.Write(data)
		return exitDone
	}
	var answer T
	if err := json.Unmarshal(data, &answer); err != nil {
		fmt.Fprintf(stderr, "fieldbridge %s: the gateway's answer cannot be read: %v: is it of another version?\n", name, err)
		return exitFailed
	}
	print(answer)
	return exitDone
}

// queueDir returns the queue directory that the argument names: a
// configuration, the directory itself, or nothing for ./queue.
func queueDir(args []string) (string, error) {
	if len(args) == 0 {
		return "queue", nil
	}
	info, err := os.Stat(args[0])
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return args[0], nil
	}
	// The gateway may run although the file has become wrong.
	if dir := configs.QueueDir(args[0], ""); dir != "" {
		return dir, nil
	}
	loaded, err := configs.Load(args[0])
	if err != nil {
		return "", err
	}
	return string(loaded.Config.Store.Dir), nil
}

// printStatus tells it to a person: first who, then the uplink and the queue,
// then the devices, and last what is wrong and what to do.
func printStatus(w io.Writer, s control.Status) {
	fmt.Fprintf(w, "%s  up %s  run %s  version %s  configuration %.12s\n\n", s.Gateway, ago(s.Now.Sub(s.Started)), s.Run, s.Version, s.Config)
	if c := s.Change; c != nil {
		fmt.Fprintf(w, "config   %s, applied %s ago", c.Origin, ago(s.Now.Sub(c.Applied)))
		if !c.OnTrial.IsZero() {
			fmt.Fprintf(w, ", on trial for %s more", ago(c.OnTrial.Sub(s.Now)))
		}
		fmt.Fprintln(w)
	}
	link := "not connected"
	if s.Link.Connected {
		link = "connected"
	}
	fmt.Fprintf(w, "uplink   %s to %s", link, s.Link.Endpoint)
	if !s.Link.Since.IsZero() {
		fmt.Fprintf(w, " since %s", ago(s.Now.Sub(s.Link.Since)))
	}
	fmt.Fprintln(w)
	if s.Link.Detail != "" {
		fmt.Fprintf(w, "         %s\n", s.Link.Detail)
	}
	if !s.Link.Connected && s.Link.Retry.After(s.Now) {
		fmt.Fprintf(w, "         next try in %s\n", ago(s.Link.Retry.Sub(s.Now)))
	}
	printTLS(w, s)
	printQueue(w, s)
	printCommands(w, s)
	printBuses(w, s.Buses)
	printDevices(w, s)
	if len(s.Conditions) == 0 {
		fmt.Fprintln(w, "\nhealth   all is well")
		return
	}
	fmt.Fprintln(w)
	for _, c := range s.Conditions {
		fmt.Fprintf(w, "%-8s %v (for %s)\n", c.Severity, c, ago(s.Now.Sub(c.Since)))
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
		fmt.Fprintf(w, "         own certificate until %s (%s)\n", c.Expires.UTC().Format(time.DateOnly), ago(c.Expires.Sub(s.Now)))
	}
}

func printQueue(w io.Writer, s control.Status) {
	q, l := &s.Queue, &s.Queue.Ledger
	fmt.Fprintf(w, "queue    %s readings wait (%s of them backlog), %s on disk", thousands(l.Waiting.Readings), thousands(q.Backlog.Readings), bytesText(q.Bytes))
	if !q.Oldest.IsZero() && l.Waiting.Readings > 0 {
		fmt.Fprintf(w, ", the oldest %s old", ago(s.Now.Sub(q.Oldest)))
	}
	if q.FullIn > 0 && !s.Link.Connected {
		fmt.Fprintf(w, "; at this rate full in %s", ago(q.FullIn))
	}
	fmt.Fprintf(w, "\n         since the start: %s accepted, %s found, %s acknowledged, %s dropped, %s damaged; %s dead letters\n",
		thousands(l.Accepted.Readings), thousands(l.Restored.Readings), thousands(l.Acked.Readings),
		thousands(l.Dropped.Readings), thousands(l.Damaged.Readings), thousands(l.Dead.Readings))
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
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s requests\t%s late cycles\t%s\n", b.Bus, b.Address, state, thousands(b.Requests), thousands(b.Late), b.Detail)
	}
	t.Flush()
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
			last = ago(s.Now.Sub(d.Last)) + " ago"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", d.Device, d.Via, state, last, d.Detail)
	}
	t.Flush()
}

// ago writes a time span with its two largest units at most.
func ago(d time.Duration) string {
	switch d = d.Round(100 * time.Millisecond); {
	case d < time.Minute:
		return strconv.FormatFloat(max(0, d.Seconds()), 'f', -1, 64) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days %d h", int(d.Hours())/24, int(d.Hours())%24)
}

// thousands writes n with a comma after each three digits.
func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// bytesText writes a number of bytes with three digits.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	digits := 0
	if i > 0 && v < 100 {
		digits = 1
	}
	return strings.TrimSuffix(strconv.FormatFloat(math.Round(v*10)/10, 'f', digits, 64), ".0") + " " + units[i]
}
