package main

import (
	"cmp"
	"context"
	"encoding/json"
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
	return askGateway(ctx, "sensors", args, stdout, stderr, func(seen []mqtt.Seen) { printSensors(stdout, seen, time.Now()) })
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
