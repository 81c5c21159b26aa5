package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
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
	fmt.Fprintln(t, "RULE\tBROKER\tTOPIC\tDEVICE\tMESSAGES\tLAST\tVALUES")
	for _, s := range seen {
		if s.Sensor == "" {
			open = append(open, s)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s ago\t%s\n", s.Sensor, s.Broker, printable(s.Topic), cmp.Or(s.Device, "-"),
			thousands(s.Messages), ago(now.Sub(s.Last)), valuesOf(s))
		if s.Error != "" {
			fmt.Fprintf(t, "\t\t\t\t\t\t^ %s, in %s\n", s.Error, cmp.Or(s.Payload, "\"\""))
		}
		if len(s.Absent) > 0 {
			fmt.Fprintf(t, "\t\t\t\t\t\t^ not in any message so far: %s\n", strings.Join(s.Absent, ", "))
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
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s ago\t%s\n", s.Broker, printable(s.Topic), thousands(s.Messages), ago(now.Sub(s.Last)), s.Payload)
	}
	t.Flush()
}

// shownValues is how many values of a device stand on its line.
const shownValues = 6

// valuesOf returns what was read, for one line.
func valuesOf(s mqtt.Seen) string {
	var parts []string
	for i, point := range slices.Sorted(maps.Keys(s.Values)) {
		if i == shownValues {
			parts = append(parts, fmt.Sprintf("and %d more", len(s.Values)-i))
			break
		}
		parts = append(parts, point+"="+s.Values[point])
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}

// printable quotes what a terminal could mistake for something else: a client
// chooses its topics.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
