package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"fieldbridge/southbound/mqtt"
)

// runSensors lists what a running gateway has heard: that is how one writes the
// rules.
func runSensors(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := newFlags("sensors", stderr)
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
	data, err := controlGet(ctx, dir, "/sensors")
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge sensors: %v\n", err)
		if errors.Is(err, errNotRunning) {
			fmt.Fprintln(stderr, "name the configuration that it runs, or its queue directory: fieldbridge sensors FILE")
		}
		return exitFailed
	}
	if *asJSON {
		stdout.Write(data)
		return exitDone
	}
	var seen []mqtt.Seen
	if err := json.Unmarshal(data, &seen); err != nil {
		fmt.Fprintf(stderr, "fieldbridge sensors: the gateway's answer cannot be read: %v: is it of another version?\n", err)
		return exitFailed
	}
	printSensors(stdout, seen, time.Now())
	return exitDone
}

// printSensors lists the topics that rules take, then those that none does.
func printSensors(w io.Writer, seen []mqtt.Seen, now time.Time) {
	if len(seen) == 0 {
		fmt.Fprintln(w, "no message has come yet")
		return
	}
	var open []mqtt.Seen
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RULE\tBROKER\tTOPIC\tDEVICE\tMESSAGES\tLAST\tPAYLOAD")
	for _, s := range seen {
		if s.Sensor == "" {
			open = append(open, s)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s ago\t%s\n", s.Sensor, s.Broker, s.Topic, cmp.Or(s.Device, "-"),
			thousands(s.Messages), ago(now.Sub(s.Last)), s.Payload)
		if s.Error != "" {
			fmt.Fprintf(t, "\t\t\t\t\t\t^ %s\n", s.Error)
		}
	}
	if len(open) < len(seen) {
		t.Flush()
	}
	if len(open) == 0 {
		return
	}
	if len(open) < len(seen) {
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "no rule takes these topics: add one under southbound.mqtt.sensors if they matter")
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range open {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s ago\t%s\n", s.Broker, s.Topic, thousands(s.Messages), ago(now.Sub(s.Last)), s.Payload)
	}
	t.Flush()
}

func (g *gateway) serveSensors(w http.ResponseWriter, _ *http.Request) {
	seen := g.mqtt.Seen()
	if seen == nil {
		seen = []mqtt.Seen{}
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(seen); err != nil {
		g.log.Debug("answer not sent", "err", err)
	}
}
