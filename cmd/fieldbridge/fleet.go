package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"

	"fieldbridge/configs"
)

// fleetCommand is a subcommand of fleet.
type fleetCommand struct {
	name, usage, summary string
	run                  func(args []string, stdout, stderr io.Writer) int
}

// fleetCommands are what can be done with a fleet file.
func fleetCommands() []fleetCommand {
	return []fleetCommand{
		{"list", "FILE [--json]", "list the gateways with their groups, points and messages", runFleetList},
		{"check", "FILE", "check all gateways: every error, told once", runFleetCheck},
		{"render", "FILE --gateway NAME [--origin]", "print what one gateway runs, as YAML", runFleetRender},
		{"diff", "OLD NEW", "tell in words what changes, per gateway", runFleetDiff},
		{"policy", "FILE --account ID [--region REGION]", "print the AWS IoT policy that exactly fits the fleet", runFleetPolicy},
	}
}

// runFleet runs a subcommand of fleet.
func runFleet(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		for _, c := range fleetCommands() {
			if c.name == args[0] {
				return c.run(args[1:], stdout, stderr)
			}
		}
		if args[0] != "help" && !strings.HasPrefix(args[0], "-") {
			fmt.Fprintf(stderr, "fieldbridge fleet: no command %q\n", args[0])
		}
	}
	fmt.Fprint(stderr, "Usage: fieldbridge fleet COMMAND\n\n")
	for _, c := range fleetCommands() {
		fmt.Fprintf(stderr, "  %-7s %-36s %s\n", c.name, c.usage, c.summary)
	}
	return exitUsage
}

// fleetFiles takes the arguments of a fleet subcommand that wants files.
func fleetFiles(name string, args []string, want int, stderr io.Writer, define func(*flag.FlagSet)) ([]string, int, bool) {
	flags := newFlags("fleet "+name, stderr)
	flags.Usage = func() {
		for _, c := range fleetCommands() {
			if c.name == name {
				fmt.Fprintf(stderr, "Usage: fieldbridge fleet %s %s\n%s\n", c.name, c.usage, c.summary)
			}
		}
		flags.PrintDefaults()
	}
	if define != nil {
		define(flags)
	}
	rest, code, ok := parseFlags(flags, args, want)
	if !ok {
		return nil, code, false
	}
	if len(rest) < want {
		flags.Usage()
		return nil, exitUsage, false
	}
	return rest, exitDone, true
}

// loadAll loads a fleet file and all its gateways.
func loadAll(file string) (*configs.Fleet, []*configs.Loaded, error) {
	fleet, err := configs.LoadFleet(file)
	if err != nil {
		return nil, nil, err
	}
	gateways, err := fleet.LoadAll()
	return fleet, gateways, err
}

func runFleetCheck(args []string, stdout, stderr io.Writer) int {
	files, code, ok := fleetFiles("check", args, 1, stderr, nil)
	if !ok {
		return code
	}
	fleet, gateways, err := loadAll(files[0])
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	for _, w := range fleet.WarningsOf(gateways) {
		fmt.Fprintln(stderr, "warning: "+w.String())
	}
	points := 0
	for _, l := range gateways {
		points += l.Config.Points()
	}
	fmt.Fprintf(stdout, "%s: %d gateways with %d points are right\n", fleet.Name, len(gateways), points)
	return exitDone
}

// fleetRow is a gateway in `fleet list`.
type fleetRow struct {
	Gateway  string   `json:"gateway"`
	Groups   []string `json:"groups"`
	Devices  int      `json:"devices"`
	Points   int      `json:"points"`
	Sensors  int      `json:"sensor_rules"`
	Messages float64  `json:"messages_per_month"`
	Units    float64  `json:"billed_units_per_month"`
	Hash     string   `json:"hash"`
}

func runFleetList(args []string, stdout, stderr io.Writer) int {
	var asJSON *bool
	files, code, ok := fleetFiles("list", args, 1, stderr, func(f *flag.FlagSet) { asJSON = f.Bool("json", false, "print for programs") })
	if !ok {
		return code
	}
	fleet, gateways, err := loadAll(files[0])
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	rows := make([]fleetRow, len(gateways))
	for i, l := range gateways {
		plan := l.Plan()
		rows[i] = fleetRow{fleet.Gateways[i].Name, fleet.Gateways[i].Groups, len(l.Config.Southbound.Modbus.Devices), l.Config.Points(),
			len(l.Config.Southbound.MQTT.Sensors), plan.North.Messages, plan.North.Units, l.Hash}
	}
	if *asJSON {
		return printJSON(stdout, stderr, rows)
	}
	table := newTable(stdout)
	table.row("GATEWAY", "GROUPS", "DEVICES", "POINTS", "SENSOR RULES", "MESSAGES IN 30 DAYS")
	messages, units := 0.0, 0.0
	for _, r := range rows {
		messages, units = messages+r.Messages, units+r.Units
		table.row(r.Gateway, strings.Join(r.Groups, ", "), fmt.Sprint(r.Devices), fmt.Sprint(r.Points), fmt.Sprint(r.Sensors), many(r.Messages))
	}
	table.flush()
	fmt.Fprintf(stdout, "%d gateways; what is polled makes up to %s messages in 30 days, billed as %s units of 5 KB\n", len(rows), many(messages), many(units))
	return exitDone
}

func runFleetRender(args []string, stdout, stderr io.Writer) int {
	var gateway *string
	var origin *bool
	files, code, ok := fleetFiles("render", args, 1, stderr, func(f *flag.FlagSet) {
		gateway = f.String("gateway", "", "the `NAME` of the gateway")
		origin = f.Bool("origin", false, "show the file and line of each value")
	})
	if !ok {
		return code
	}
	loaded, err := configs.LoadGateway(files[0], *gateway)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	fmt.Fprint(stdout, loaded.Render(*origin))
	return exitDone
}

func runFleetDiff(args []string, stdout, stderr io.Writer) int {
	files, code, ok := fleetFiles("diff", args, 2, stderr, nil)
	if !ok {
		return code
	}
	var sides [2]map[string]*configs.Loaded
	for i, file := range files {
		gateways, err := configs.LoadEach(file)
		if err != nil {
			fmt.Fprintln(stderr, err)
			return exitUsage
		}
		sides[i] = gateways
	}
	changes := configs.DiffFleets(sides[0], sides[1])
	if len(changes) == 0 {
		fmt.Fprintln(stdout, "nothing changes")
	}
	for _, c := range changes {
		names := strings.Join(c.Gateways, ", ")
		if len(c.Gateways) > 5 {
			names = fmt.Sprintf("%s and %d more gateways", strings.Join(c.Gateways[:3], ", "), len(c.Gateways)-3)
		}
		fmt.Fprintln(stdout, names)
		for _, line := range c.Lines {
			fmt.Fprintln(stdout, "  "+line)
		}
	}
	return exitDone
}

func runFleetPolicy(args []string, stdout, stderr io.Writer) int {
	var account, region *string
	files, code, ok := fleetFiles("policy", args, 1, stderr, func(f *flag.FlagSet) {
		account = f.String("account", "", "the `ID` of the AWS account, 12 digits")
		region = f.String("region", "", "the AWS `REGION`, if the endpoint does not name it")
	})
	if !ok {
		return code
	}
	if len(*account) != 12 || strings.Trim(*account, "0123456789") != "" {
		fmt.Fprintln(stderr, "fieldbridge fleet policy: say --account ID, the 12 digits of the AWS account")
		return exitUsage
	}
	each, err := configs.LoadEach(files[0])
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	policy, err := configs.PolicyFor(each, *region, *account)
	if err != nil {
		fmt.Fprintf(stderr, "fieldbridge fleet policy: %v\n", err)
		return exitUsage
	}
	if compact, err := json.Marshal(policy); err == nil && len(compact) > configs.MaxPolicy {
		fmt.Fprintf(stderr, "warning: the policy has %d characters, AWS takes %d: let topics differ by {gateway} and not by labels or client ids\n", len(compact), configs.MaxPolicy)
	}
	return printJSON(stdout, stderr, policy)
}

// printJSON prints a value for programs.
func printJSON(stdout, stderr io.Writer, v any) int {
	encoder := json.NewEncoder(stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		fmt.Fprintf(stderr, "fieldbridge: %v\n", err)
		return exitFailed
	}
	return exitDone
}
