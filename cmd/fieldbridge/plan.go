package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/configs"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus"
	"fieldbridge/store/journal"
)

// printPlan tells a person what the gateway will do.
func printPlan(w io.Writer, p configs.Plan) {
	fmt.Fprintf(w, "Gateway %s\n", p.Gateway)
	for _, bus := range p.Buses {
		printBus(w, bus)
	}
	printRules(w, p.Rules)
	printNorth(w, p.North)
	printQueuePlan(w, p.Queue)
	if p.Console != "" {
		fmt.Fprintf(w, "\nConsole at http://%s/\n", p.Console)
	}
}

func printQueuePlan(w io.Writer, q configs.QueuePlan) {
	fmt.Fprintf(w, "\nQueue in %s\n  a power cut takes at most %s of polled readings\n", q.Dir, q.CommitEvery)
	switch {
	case q.NoJournal != "":
		fmt.Fprintf(w, "  a crash takes as much, there is no journal here: %s\n", q.NoJournal)
	case q.Journal == journal.Off:
		fmt.Fprintln(w, "  a crash takes as much, store.journal is off")
	default:
		fmt.Fprintln(w, "  a crash takes nothing, what is not on disk is in shared memory, too")
	}
}

func printBus(w io.Writer, bus modbus.BusPlan) {
	fmt.Fprintf(w, "\nModbus bus %s, %s: %s busy%s\n", bus.Bus, bus.Link, percent(bus.Load), overload(bus))
	defer printLearnt(w, bus)
	if len(bus.Blocks) == 0 {
		fmt.Fprintln(w, "  nothing is read here")
		return
	}
	table := words.NewTable(w)
	table.Row("DEVICE", "UNIT ID", "EVERY", "READS", "FROM", "POINTS")
	requests := 0.0
	for _, b := range bus.Blocks {
		requests += 1 / b.Every.D().Seconds()
		table.Row(b.Device, fmt.Sprint(b.UnitID), setting.Duration(b.Every).String(), amount(b), addresses(b),
			strings.Join(b.Points, ", "))
	}
	table.Flush()
	fmt.Fprintf(w, "  %s\n", pace(requests))
}

// printLearnt tells what the gateway that ran here found out.
func printLearnt(w io.Writer, bus modbus.BusPlan) {
	for _, device := range slices.Sorted(maps.Keys(bus.Learnt)) {
		fmt.Fprintf(w, "  learnt of %s: %s\n", device, bus.Learnt[device])
	}
	if len(bus.GivenUp) > 0 {
		fmt.Fprintf(w, "  not read, as their device refuses them: %s\n", strings.Join(bus.GivenUp, ", "))
	}
}

// overload warns of a bus that cannot do what is asked.
func overload(bus modbus.BusPlan) string {
	switch {
	case bus.Load > 1:
		return " — more than it can do: fits at every: " + setting.Duration(bus.Fits).String() + ", or with fewer points"
	case bus.Load > 0.7:
		return " — little room for retries"
	}
	return ""
}

func percent(share float64) string {
	switch {
	case share == 0:
		return "not"
	case share < 0.01:
		return "less than 1 %"
	}
	return fmt.Sprintf("about %.0f %%", share*100)
}

// pace tells how often requests are sent.
func pace(perSecond float64) string {
	switch {
	case perSecond == 1:
		return "1 request per second"
	case perSecond > 1:
		return fmt.Sprintf("%.4g requests per second", perSecond)
	}
	return fmt.Sprintf("a request every %s",
		setting.Duration(time.Duration(float64(time.Second)/perSecond).Round(time.Second)))
}

// amount is what one request reads.
func amount(b modbus.BlockPlan) string {
	what := map[string]string{"coil": "coil", "discrete": "discrete input", "input": "input register",
		"holding": "holding register"}[b.Table]
	if b.Count != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", b.Count, what)
}

func addresses(b modbus.BlockPlan) string {
	if b.Models != nil {
		return fmt.Sprintf("found on the device: %d to %d of SunSpec model %s", b.Address, b.Address+b.Count-1,
			strings.Trim(strings.Join(strings.Fields(fmt.Sprint(b.Models)), " or "), "[]"))
	}
	if b.Count == 1 {
		return fmt.Sprint(b.Address)
	}
	return fmt.Sprintf("%d to %d", b.Address, b.Address+b.Count-1)
}

func printRules(w io.Writer, rules []configs.RulePlan) {
	if len(rules) == 0 {
		return
	}
	fmt.Fprintf(w, "\nSensors: a message is taken by the first rule that matches\n")
	table := words.NewTable(w)
	table.Row("RULE", "BROKER", "TOPIC", "DEVICE", "POINTS")
	for _, r := range rules {
		table.Row(r.Rule, r.Broker+" ("+r.Link+")", r.Topic, r.Device, strings.Join(r.Points, ", "))
	}
	table.Flush()
}

func printNorth(w io.Writer, n configs.NorthPlan) {
	fmt.Fprintf(w, "\nAWS IoT Core at %s, as %s\n", n.Endpoint, n.ClientID)
	fmt.Fprintf(w, "  readings to %s\n  state to    %s\n", n.Topic, n.StatusTopic)
	if n.Messages > 0 {
		fmt.Fprintf(w, "  what is polled makes up to %s messages in 30 days, billed as %s units of 5 KB\n", many(n.Messages),
			many(n.Units))
		cost := fmt.Sprintf("about %.2f USD at 1 USD per million units, the list price of us-east-1; rules and sensors "+
			"come on top", n.Units/1e6)
		if n.Free {
			cost = "by Basic Ingest the messages themselves are not billed, only the rule"
		}
		fmt.Fprintf(w, "  (%s)\n", cost)
	}
}

// many writes a large number for people.
func many(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f million", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.0f thousand", n/1e3)
	}
	return fmt.Sprintf("%.0f", n)
}
