package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/onboard"
	"fieldbridge/cmd/fieldbridge/paint"
	"fieldbridge/cmd/fieldbridge/tell"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/configs"
	configtree "fieldbridge/configs/tree"
)

// fleetCommand has what can be done with a fleet file.
func fleetCommand() *cobra.Command {
	return group("fleet COMMAND", "list, check, render and compare the gateways of a fleet file", "",
		fleetListCommand(), fleetCheckCommand(), fleetRenderCommand(), fleetDiffCommand(), fleetPolicyCommand(),
		fleetTemplateCommand())
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
	c := newCommand("check FILE [--json]", "check all gateways: every error, told once", 1)
	asJSON := c.Flags().Bool("json", false, "print for programs")
	return wants(c, 1, func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		return fleetCheck(ctx, args[0], *asJSON, stdout, stderr)
	})
}

// fleetResult is what `fleet check --json` prints.
type fleetResult struct {
	File     string      `json:"file"`
	OK       bool        `json:"ok"`
	Errors   []checkNote `json:"errors,omitempty"`
	Warnings []checkNote `json:"warnings,omitempty"`
	Gateways int         `json:"gateways"`
	Points   int         `json:"points"`
}

func fleetCheck(ctx context.Context, file string, asJSON bool, stdout, stderr io.Writer) error {
	fleet, gateways, err := loadAll(ctx, file)
	var wrong *configtree.Error
	if asJSON && errors.As(err, &wrong) {
		if err := words.JSON(stdout, fleetResult{File: file, Errors: checkNotes(wrong.Problems)}); err != nil {
			return err
		}
		return exit(exitUsage)
	}
	if err != nil {
		return wrongFile(err)
	}
	warnings, points := fleet.WarningsOf(gateways), 0
	for _, l := range gateways {
		points += l.Config.Points()
	}
	if asJSON {
		return words.JSON(stdout, fleetResult{File: file, OK: true, Warnings: checkNotes(warnings),
			Gateways: len(gateways), Points: points})
	}
	for _, w := range warnings {
		fmt.Fprintln(stderr, paint.Doubtful(paint.On(stderr, stderr), "warning: ")+w.String())
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
	USD      float64  `json:"usd_per_month"` // of the messages, at 1 USD per million units
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
			plan.North.Messages, plan.North.Units, plan.North.USD(), l.Hash}
	}
	if asJSON {
		return words.JSON(stdout, rows)
	}
	table := words.NewTable(stdout)
	table.Row("GATEWAY", "GROUPS", "DEVICES", "POINTS", "SENSOR RULES", "MESSAGES IN 30 DAYS", "USD")
	messages, units, usd := 0.0, 0.0, 0.0
	for _, r := range rows {
		messages, units, usd = messages+r.Messages, units+r.Units, usd+r.USD
		table.Row(r.Gateway, strings.Join(r.Groups, ", "), fmt.Sprint(r.Devices), fmt.Sprint(r.Points), fmt.Sprint(r.Sensors),
			tell.Many(r.Messages), fmt.Sprintf("%.2f", r.USD))
	}
	table.Flush()
	fmt.Fprintf(stdout, "%d gateways; what is polled makes up to %s messages in 30 days, billed as %s units of 5 KB\n",
		len(rows), tell.Many(messages), tell.Many(units))
	fmt.Fprintf(stdout, "(about %.2f USD at 1 USD per million units, the list price of us-east-1; rules and sensors "+
		"come on "+
		"top)\n", usd)
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

// fleetChange is what changes for some gateways alike, as JSON.
type fleetChange struct {
	Gateways []string `json:"gateways"`
	Changes  []string `json:"changes"`
}

func fleetDiffCommand() *cobra.Command {
	c := newCommand("diff OLD NEW [--json]", "tell in words what changes, per gateway", 2)
	asJSON := c.Flags().Bool("json", false, "print for programs")
	return wants(c, 2, func(ctx context.Context, files []string, stdout, _ io.Writer) error {
		return fleetDiff(ctx, files, *asJSON, stdout)
	})
}

func fleetDiff(ctx context.Context, files []string, asJSON bool, stdout io.Writer) error {
	var sides [2]map[string]*configs.Loaded
	for i, file := range files {
		gateways, err := configs.LoadEach(ctx, file)
		if err != nil {
			return wrongFile(err)
		}
		sides[i] = gateways
	}
	changes := configs.DiffFleets(sides[0], sides[1])
	if asJSON {
		told := make([]fleetChange, len(changes))
		for i, c := range changes {
			told[i] = fleetChange{c.Gateways, c.Lines}
		}
		return words.JSON(stdout, told)
	}
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
	return onPolicy(c, func(_ map[string]*configs.Loaded, policy configs.Policy, stdout, stderr io.Writer) error {
		if compact, err := json.Marshal(policy); err == nil && len(compact) > configs.MaxPolicy {
			fmt.Fprintf(stderr, "warning: the policy has %d characters, AWS takes %d: let topics differ by {gateway} and not "+
				"by labels or client ids\n", len(compact), configs.MaxPolicy)
		}
		return words.JSON(stdout, policy)
	})
}

// onPolicy makes c a command on a fleet file and the policy that fits it.
func onPolicy(c *cobra.Command, do func(each map[string]*configs.Loaded, policy configs.Policy, stdout,
	stderr io.Writer) error) *cobra.Command {
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
		return do(each, policy, stdout, stderr)
	})
}

func fleetTemplateCommand() *cobra.Command {
	c := newCommand("template FILE --account ID [--region REGION] [--policy NAME]",
		"print the provisioning template and the policy of the claim that fit the fleet", 1)
	name := c.Flags().String("policy", "fieldbridge",
		"the `NAME` of the policy in the account that 'fieldbridge fleet policy' prints")
	return onPolicy(c, func(each map[string]*configs.Loaded, policy configs.Policy, stdout, _ io.Writer) error {
		template, err := onboard.For(each, *name, policy)
		if err != nil {
			return misuse(err)
		}
		return words.JSON(stdout, template)
	})
}
