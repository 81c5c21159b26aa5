package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/southbound/mqtt"
)

// sensorsCommand lists what a running gateway has heard: that is how one writes the
// rules.
func sensorsCommand() *cobra.Command {
	c := newCommand("sensors [FILE | DIR] [--json]",
		"list the topics that sensors used: which rule took them, the last payload, and those that no rule takes", 1)
	c.AddCommand(sensorsPasswordCommand())
	return asksGateway(c, "/sensors", func(w io.Writer, seen []mqtt.Seen) { printSensors(w, seen, time.Now()) })
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
			words.Thousands(s.Messages), words.Ago(now.Sub(s.Last)), valuesOf(s))
		if s.Error != "" {
			fmt.Fprintf(t, "\t\t\t\t\t\t^ %s, in %s\n", s.Error, cmp.Or(s.Payload, "\"\""))
		}
		if len(s.Absent) > 0 {
			fmt.Fprintf(t, "\t\t\t\t\t\t^ not in any message so far: %s\n", strings.Join(s.Absent, ", "))
		}
	}
	if len(open) < len(seen) {
		_ = t.Flush()
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
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s ago\t%s\n", s.Broker, printable(s.Topic), words.Thousands(s.Messages),
			words.Ago(now.Sub(s.Last)), s.Payload)
	}
	_ = t.Flush()
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
