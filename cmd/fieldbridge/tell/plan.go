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
	"fieldbridge/configs"
	"fieldbridge/setting"
	"fieldbridge/southbound/modbus"
	"fieldbridge/store/journal"
	"fieldbridge/store/terms"
)

// Plan tells a person what the gateway will do.
func Plan(w io.Writer, p configs.Plan) {
	fmt.Fprintf(w, "Gateway %s\n", p.Gateway)
	for _, bus := range p.Buses {
		printBus(w, bus)
	}
	printRules(w, p.Rules)
	printNorth(w, p.North)
	QueuePlan(w, p.Queue)
	if p.Console != "" {
		fmt.Fprintf(w, "\nConsole at http://%s/\n", p.Console)
	}
}

func QueuePlan(w io.Writer, q configs.QueuePlan) {
	fmt.Fprintf(w, "\nQueue in %s\n  a power cut takes at most %s of polled readings", q.Dir, q.PowerCut)
	if q.Offline != q.PowerCut {
		fmt.Fprintf(w, ", %s while there is no connection", q.Offline)
	}
	fmt.Fprintln(w)
	if q.Lasts > 0 {
		then := "drops the oldest readings"
		if q.WhenFull == string(terms.DropNewest) && strings.HasPrefix(q.Ends, "max_size") {
			then = "drops the newest readings"
		}
		fmt.Fprintf(w, "  you can be offline for about %s, then %s %s (of what is polled, sensors come on top)\n",
			words.Days(q.Lasts), q.Ends, then)
	}
	switch q.Thinned {
	case 0:
	case q.Lasts:
		fmt.Fprintf(w, "  thin does not make that longer: %s ends it first\n", q.ThinnedEnds)
	default:
		fmt.Fprintf(w, "  with thin about %s, then %s: of the oldest readings aggregates are kept before any are dropped\n",
			words.Days(q.Thinned), q.ThinnedEnds)
	}
	if q.FlashBudget != "" {
		fmt.Fprintf(w, "  store.flash_budget %s: once it is used up by small commits, a power cut takes up to %s of polled\n"+
			"  readings, and so long a sensor waits for its acknowledgement while there is no connection\n",
			q.FlashBudget, q.UsedUp)
	}
	switch {
	case q.NoJournal != "":
		fmt.Fprintf(w, "  a crash takes as much, there is no journal here: %s\n", q.NoJournal)
	case q.Journal == journal.Off:
		fmt.Fprintln(w, "  a crash takes as much, store.journal is off")
	default:
		fmt.Fprintln(w, "  a crash takes nothing, what is not on disk is in shared memory, too")
		if q.JournalEnds != "" {
			fmt.Fprintf(w, "  if it ends the container it takes as much: %s is lost with it, unless a tmpfs from\n"+
				"  outside is mounted there\n", q.JournalEnds)
		}
	}
}

func printBus(w io.Writer, bus modbus.BusPlan) {
	fmt.Fprintf(w, "\nModbus bus %s, %s: %s busy%s%s\n", bus.Bus, bus.Link, percent(bus.Load), measured(bus),
		overload(bus))
	defer printLearnt(w, bus)
	defer printUpkeep(w, bus)
	if len(bus.Blocks) == 0 {
		fmt.Fprintln(w, "  nothing is read here")
		return
	}
	table := words.NewTable(w)
	table.Row("DEVICE", "UNIT ID", "EVERY", "READS", "FROM", "POINTS")
	requests := 0.0
	for _, b := range bus.Blocks {
		requests += 1 / b.Every.D().Seconds()
		table.Row(b.Device, fmt.Sprint(b.UnitID), b.Every.String(), amount(b), addresses(b),
			strings.Join(b.Points, ", "))
	}
	table.Flush()
	fmt.Fprintf(w, "  %s\n", pace(requests))
}

// printUpkeep tells what the gateway writes by itself.
func printUpkeep(w io.Writer, bus modbus.BusPlan) {
	for _, device := range slices.Sorted(maps.Keys(bus.Upkeep)) {
		fmt.Fprintf(w, "  the gateway writes to %s by itself\n", device)
		for _, text := range bus.Upkeep[device] {
			fmt.Fprintf(w, "    %s\n", text)
		}
	}
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

// measured says how far the load of a bus is known.
func measured(bus modbus.BusPlan) string {
	devices := make(map[string]bool)
	for _, b := range bus.Blocks {
		devices[b.Device] = true
	}
	switch n := bus.Measured; {
	case n == 0 || bus.Load == 0:
		return ""
	case n < len(devices):
		return fmt.Sprintf(", %d of %d devices as measured", n, len(devices))
	}
	return ", as measured"
}

// overload warns of a bus that cannot do what is asked.
func overload(bus modbus.BusPlan) string {
	switch {
	case bus.Load > 1:
		return " — more than it can do: fits at every: " + bus.Fits.String() + ", or with fewer points"
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
		"holding": "holding register", "object": "object", "fifo": "queued register"}[b.Table]
	if what == "" {
		what = "record" // "file 4"
	}
	if b.Count != 1 {
		what += "s"
	}
	if strings.HasPrefix(b.Table, "file ") {
		what += " of " + b.Table
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
		points := strings.Join(r.Points, ", ")
		if r.Ignored {
			points = "none: ignored"
		}
		table.Row(r.Rule, r.Broker+" ("+r.Link+")", r.Topic, cmp.Or(r.Device, "-"), points)
	}
	table.Flush()
}

func printNorth(w io.Writer, n configs.NorthPlan) {
	fmt.Fprintf(w, "\nAWS IoT Core at %s, as %s\n", n.Endpoint, n.ClientID)
	fmt.Fprintf(w, "  readings to %s\n  state to    %s\n", n.Topic, n.StatusTopic)
	if n.Messages > 0 {
		fmt.Fprintf(w, "  what is polled makes up to %s messages in 30 days, billed as %s units of 5 KB\n", Many(n.Messages),
			Many(n.Units))
		cost := fmt.Sprintf("about %.2f USD at 1 USD per million units, the list price of us-east-1; rules and sensors "+
			"come on top", n.USD())
		if n.Free {
			cost = "by Basic Ingest the messages themselves are not billed, only the rule"
		}
		fmt.Fprintf(w, "  (%s)\n", cost)
		if l := n.Longer; l != nil {
			fmt.Fprintf(w, "  linger: %s would make it about %.2f USD; readings come up to %s later then "+
				"(commit_every: linger of store\n  keeps the disk as spared as now)\n", l.Linger, l.Units/1e6, l.Linger)
		}
	}
}

// Many writes a large number for people.
func Many(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f million", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.0f thousand", n/1e3)
	}
	return fmt.Sprintf("%.0f", n)
}
