package tell

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/southbound/mqtt"
)

// Sensors lists the topics that rules take, then those that none does, what each
// rule heard, and the clients that have trouble.
func Sensors(w io.Writer, heard mqtt.Listing, now time.Time) {
	topics(w, heard.Topics, now)
	rules(w, heard.Rules, now)
	Clients(w, heard.Clients, now)
}

func rules(w io.Writer, all []mqtt.RuleSeen, now time.Time) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(w, "\nwhat each rule heard:")
	t := words.NewColumns(w)
	for _, r := range all {
		last := "no message yet"
		if r.Messages > 0 {
			last = words.Ago(now.Sub(r.Last)) + " ago"
		}
		subscription := ""
		if r.Subscription != "" {
			subscription = "\tsubscription " + r.Subscription
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s%s\n", r.Sensor, r.Broker, words.Printable(r.Filter), words.Thousands(r.Messages),
			last,
			subscription)
	}
	_ = t.Flush()
}

// Clients lists the clients of brokers that have trouble.
func Clients(w io.Writer, all []mqtt.ClientTrouble, now time.Time) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(w, "\nclients that were refused, cut off or not taken in full:")
	t := words.NewColumns(w)
	for _, c := range all {
		user := ""
		if c.User != "" {
			user = " (user " + words.Printable(c.User) + ")"
		}
		fmt.Fprintf(t, "  %s\t%s%s\t%s\t%s\t%s ago\t%s: %s\n", c.Broker, words.Printable(cmp.Or(c.Client, "-")), user,
			c.Remote, times(c.Count), words.Ago(now.Sub(c.Last)), words.Printable(c.Cause), c.Advice)
	}
	_ = t.Flush()
}

// times writes a count of times.
func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return words.Thousands(n) + " times"
}

func topics(w io.Writer, seen []mqtt.Seen, now time.Time) {
	if len(seen) == 0 {
		fmt.Fprintln(w, "no message has come yet")
		return
	}
	var open []mqtt.Seen
	t := words.NewColumns(w)
	fmt.Fprintln(t, "RULE\tBROKER\tTOPIC\tDEVICE\tMESSAGES\tLAST\tVALUES")
	for _, s := range seen {
		if s.Sensor == "" {
			open = append(open, s)
			continue
		}
		last := words.Ago(now.Sub(s.Last)) + " ago"
		if s.Last.IsZero() {
			last = "unknown"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Sensor, s.Broker, words.Printable(s.Topic),
			cmp.Or(s.Device, "-"),
			words.Thousands(s.Messages), last, valuesOf(s))
		if s.Remembered {
			fmt.Fprintln(t, "\t\t\t\t\t\t^ nothing has come from it since the gateway was started")
		}
		if s.Error != "" {
			fmt.Fprintf(t, "\t\t\t\t\t\t^ %s, in %s\n", s.Error, cmp.Or(s.Payload, "\"\""))
		}
		if s.Original != "" {
			fmt.Fprintf(t, "\t\t\t\t\t\t^ the device is called %s\n", words.Printable(s.Original))
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
	t = words.NewColumns(w)
	for _, s := range open {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s ago\t%s\n", s.Broker, words.Printable(s.Topic), words.Thousands(s.Messages),
			words.Ago(now.Sub(s.Last)), s.Payload)
	}
	_ = t.Flush()
}

// shownValues is how Many values of a device stand on its line.
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
	if s.Ignored {
		return "ignored"
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}
