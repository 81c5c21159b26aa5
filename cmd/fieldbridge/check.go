package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/paint"
	"fieldbridge/cmd/fieldbridge/tell"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/configs"
	configtree "fieldbridge/configs/tree"
	"fieldbridge/northbound/awsiot/identity/life"
	"fieldbridge/southbound/modbus"
	"fieldbridge/southbound/modbus/setup"
	"fieldbridge/store/disk"
	"fieldbridge/store/journal"
	"fieldbridge/store/state"
)

// checkResult is what `check --json` prints.
type checkResult struct {
	File     string        `json:"file"`
	OK       bool          `json:"ok"`
	Errors   []checkNote   `json:"errors,omitempty"`
	Warnings []checkNote   `json:"warnings,omitempty"`
	Hash     string        `json:"hash,omitempty"`
	Plan     *configs.Plan `json:"plan,omitempty"`
}

// checkNote is a problem and where it is.
type checkNote struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Text   string `json:"text"`
	Fix    string `json:"fix,omitempty"`
}

// checkCommand prints what is wrong with a configuration, or what the gateway will
// do with it.
func checkCommand() *cobra.Command {
	c := newCommand("check FILE [--gateway NAME] [--json]",
		"check a configuration: every error, or what the gateway will do", 1)
	asJSON := c.Flags().Bool("json", false, "print for programs")
	gateway := c.Flags().String("gateway", "", "the `NAME` of the gateway in a fleet file")
	return does(c, func(ctx context.Context, rest []string, stdout, stderr io.Writer) error {
		return check(ctx, rest, *gateway, *asJSON, stdout, stderr)
	})
}

func check(ctx context.Context, rest []string, gateway string, asJSON bool, stdout, stderr io.Writer) error {
	if len(rest) == 0 {
		return misuse(errors.New("which file? 'fieldbridge check FILE'"))
	}
	if gateway == "" && configs.IsFleet(ctx, rest[0]) {
		return fleetCheck(ctx, rest[0], asJSON, stdout, stderr)
	}
	loaded, err := configs.LoadGateway(ctx, rest[0], gateway)
	if err == nil {
		if refused := loaded.Refusals(placeOf); len(refused) > 0 {
			err = &configtree.Error{Problems: refused}
		}
	}
	if loaded != nil {
		stdout = loaded.Hidden.Writer(stdout)
	}
	if asJSON {
		return printCheckJSON(stdout, rest[0], loaded, err)
	}
	if err != nil {
		var wrong *configtree.Error
		if !errors.As(err, &wrong) {
			fmt.Fprintln(stderr, err)
			return exit(exitUsage)
		}
		tell.Problems(paint.On(stderr, stderr), "", wrong.Problems)
		if len(wrong.Problems) > 1 {
			fmt.Fprintf(stderr, "%d problems in %s\n", len(wrong.Problems), rest[0])
		}
		return exit(exitUsage)
	}
	tell.Plan(stdout, planned(loaded))
	tell.Problems(paint.On(stderr, stderr), "warning: ", warnings(loaded))
	return nil
}

// planned returns the plan of a configuration, with what the gateway that has its
// queue on this machine learnt of the devices.
func planned(l *configs.Loaded) configs.Plan {
	p := l.Plan()
	cfg := setup.Config{Buses: make(map[string]setup.Bus), Devices: make(map[string]setup.Device)}
	for _, bus := range p.Buses { // without those that need values which are not here
		if b, ok := l.Config.Southbound.Modbus.Buses[bus.Bus]; ok {
			cfg.Buses[bus.Bus] = b
		}
		for _, b := range bus.Blocks {
			cfg.Devices[b.Device] = l.Config.Southbound.Modbus.Devices[b.Device]
		}
	}
	p.Buses = modbus.PlanLearnt(cfg, state.Read(string(l.Config.Store.Dir)))
	p.North.Longer = l.Longer(&p)
	if err := journal.Usable(l.Config.Store.Journal); err != nil {
		p.Queue.NoJournal = err.Error()
	} else {
		p.Queue.JournalEnds = journal.EndsWithContainer(l.Config.Store.Journal)
	}
	return p
}

func printCheckJSON(stdout io.Writer, file string, loaded *configs.Loaded, err error) error {
	result := checkResult{File: file, OK: err == nil}
	var wrong *configtree.Error
	if errors.As(err, &wrong) {
		result.Errors = checkNotes(wrong.Problems)
	} else {
		plan := planned(loaded)
		result.Plan, result.Hash = &plan, loaded.Hash
		result.Warnings = checkNotes(warnings(loaded))
	}
	if err := words.JSON(stdout, result); err != nil || result.OK {
		return err
	}
	return exit(exitUsage)
}

// placeOf says where a queue lies. Tests put something else here: what they print must
// not hang on the disk that they run on.
var placeOf = disk.PlaceOf

// warnings are all that is doubtful in a configuration without errors.
func warnings(l *configs.Loaded) []configtree.Problem {
	return slices.Concat(l.Absent, l.Missing, l.Warnings, l.Here(placeOf), l.Advice(), identityWarnings(l))
}

// identityWarnings are of an identity that is not there yet, with no way to one, and of the
// files of one where the gateway has its own.
func identityWarnings(l *configs.Loaded) []configtree.Problem {
	north := &l.Config.Northbound.AWSIoT
	own := lifeOf(&l.Config)
	choice := own.Choose(&north.Config, &north.Identity)
	switch {
	case choice.Kind == life.None && own.Readable():
		why, do := choice.Missing()
		return []configtree.Problem{configtree.NewProblem(l.Position("northbound", "awsiot", "identity"),
			why+", so 'run' keeps the readings and waits", do)}
	case north.Certificate != "" && (choice.Kind == life.Managed || choice.Kind == life.OnTrial):
		return []configtree.Problem{configtree.NewProblem(l.Position("northbound", "awsiot", "certificate"),
			"certificate and private_key are not used: the gateway has an identity of its own in "+
				filepath.Join(string(l.Config.Store.Dir), "identity"),
			"remove both keys")}
	}
	return nil
}

func checkNotes(problems []configtree.Problem) []checkNote {
	notes := make([]checkNote, len(problems))
	for i, p := range problems {
		notes[i] = checkNote{p.Position.File, p.Position.Line, p.Position.Column, p.Text, p.Fix}
	}
	return notes
}
