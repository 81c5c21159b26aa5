package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/configs"
)

// fleetCommand has what can be done with a fleet file.
func fleetCommand() *cobra.Command {
	return group("fleet COMMAND", "list, check, render and compare the gateways of a fleet file", "",
		fleetListCommand(), fleetCheckCommand(), fleetRenderCommand(), fleetDiffCommand(), fleetPolicyCommand())
}

// wants makes c print its usage where it is not given so many files.
func wants(c *cobra.Command, files int, do run) *cobra.Command {
	return does(c, func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		if len(args) < files {
			printUsage(c, stderr)
			return exit(exitUsage)
		}
		return do(ctx, args, stdout, stderr)
	})
}

// loadAll loads a fleet file and all its gateways.
func loadAll(ctx context.Context, file string) (*configs.Fleet, []*configs.Loaded, error) {
	fleet, err := configs.LoadFleet(ctx, file)
	if err != nil {
		return nil, nil, err
	}
	gateways, err := fleet.LoadAll()
	return fleet, gateways, err
}

func fleetCheckCommand() *cobra.Command {
	c := newCommand("check FILE", "check all gateways: every error, told once", 1)
	return wants(c, 1, func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		return fleetCheck(ctx, args[0], stdout, stderr)
	})
}

func fleetCheck(ctx context.Context, file string, stdout, stderr io.Writer) error {
	fleet, gateways, err := loadAll(ctx, file)
	if err != nil {
		return wrongFile(err)
	}
	for _, w := range fleet.WarningsOf(gateways) {
		fmt.Fprintln(stderr, "warning: "+w.String())
	}
	points := 0
	for _, l := range gateways {
		points += l.Config.Points()
	}
	fmt.Fprintf(stdout, "%s: %d gateways with %d points are right\n", fleet.Name, len(gateways), points)
	return nil
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

func fleetListCommand() *cobra.Command {
	c := newCommand("list FILE [--json]", "list the gateways with their groups, points and messages", 1)
	asJSON := c.Flags().Bool("json", false, "print for programs")
	return wants(c, 1, func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		return fleetList(ctx, args[0], *asJSON, stdout, stderr)
	})
}

func fleetList(ctx context.Context, file string, asJSON bool, stdout, stderr io.Writer) error {
	fleet, gateways, err := loadAll(ctx, file)
	if err != nil {
		return wrongFile(err)
	}
	rows := make([]fleetRow, len(gateways))
	for i, l := range gateways {
		plan := l.Plan()
		rows[i] = fleetRow{fleet.Gateways[i].Name, fleet.Gateways[i].Groups,
			len(l.Config.Southbound.Modbus.Devices), l.Config.Points(), len(l.Config.Southbound.MQTT.Sensors),
			plan.North.Messages, plan.North.Units, l.Hash}
	}
	if asJSON {
		return printJSON(stdout, rows)
	}
	table := words.NewTable(stdout)
	table.Row("GATEWAY", "GROUPS", "DEVICES", "POINTS", "SENSOR RULES", "MESSAGES IN 30 DAYS")
	messages, units := 0.0, 0.0
	for _, r := range rows {
		messages, units = messages+r.Messages, units+r.Units
		table.Row(r.Gateway, strings.Join(r.Groups, ", "), fmt.Sprint(r.Devices), fmt.Sprint(r.Points), fmt.Sprint(r.Sensors),
			many(r.Messages))
	}
	table.Flush()
	fmt.Fprintf(stdout, "%d gateways; what is polled makes up to %s messages in 30 days, billed as %s units of 5 KB\n",
		len(rows), many(messages), many(units))
	return nil
}

func fleetRenderCommand() *cobra.Command {
	c := newCommand("render FILE --gateway NAME [--origin]", "print what one gateway runs, as YAML", 1)
	gateway := c.Flags().String("gateway", "", "the `NAME` of the gateway")
	origin := c.Flags().Bool("origin", false, "show the file and line of each value")
	return wants(c, 1, func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		loaded, err := configs.LoadGateway(ctx, args[0], *gateway)
		if err != nil {
			return wrongFile(err)
		}
		fmt.Fprint(stdout, loaded.Render(*origin))
		return nil
	})
}

func fleetDiffCommand() *cobra.Command {
	return wants(newCommand("diff OLD NEW", "tell in words what changes, per gateway", 2), 2, fleetDiff)
}

func fleetDiff(ctx context.Context, files []string, stdout, stderr io.Writer) error {
	var sides [2]map[string]*configs.Loaded
	for i, file := range files {
		gateways, err := configs.LoadEach(ctx, file)
		if err != nil {
			return wrongFile(err)
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
	return nil
}

func fleetPolicyCommand() *cobra.Command {
	c := newCommand("policy FILE --account ID [--region REGION]",
		"print the AWS IoT policy that exactly fits the fleet", 1)
	account := c.Flags().String("account", "", "the `ID` of the AWS account, 12 digits")
	region := c.Flags().String("region", "", "the AWS `REGION`, if the endpoint does not name it")
	return wants(c, 1, func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		if len(*account) != 12 || strings.Trim(*account, "0123456789") != "" {
			return misuse(errors.New("say --account ID, the 12 digits of the AWS account"))
		}
		each, err := configs.LoadEach(ctx, args[0])
		if err != nil {
			return wrongFile(err)
		}
		policy, err := configs.PolicyFor(each, *region, *account)
		if err != nil {
			return misuse(err)
		}
		if compact, err := json.Marshal(policy); err == nil && len(compact) > configs.MaxPolicy {
			fmt.Fprintf(stderr, "warning: the policy has %d characters, AWS takes %d: let topics differ by {gateway} and not "+
				"by labels or client ids\n", len(compact), configs.MaxPolicy)
		}
		return printJSON(stdout, policy)
	})
}

// printJSON prints a value for programs.
func printJSON(stdout io.Writer, v any) error {
	encoder := json.NewEncoder(stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}
