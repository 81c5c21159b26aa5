// Package complete completes what a person types with names of a gateway's file: its
// devices, points and buses, and the gateways of a fleet. What the gateway of the file
// knows beside, as the devices of sensors, it is asked if it runs. It prints nothing,
// and what cannot be read is left out: a shell waits.
package complete

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/byhand"
)

// patience is how long a shell waits for names.
const patience = 3 * time.Second

// argument completes an argument or a flag of a command, beside the arguments before
// it. files is that the shell completes files, too.
type argument func(at asked) (names []cobra.Completion, files bool)

// asked is what has been typed.
type asked struct {
	context.Context
	args         []string // before what is completed
	typed        string
	gateway, via string // flags
}

// arguments are those of a command that are not files, by what follows "fieldbridge"
// in its path. What is behind the last of them is a file.
var arguments = map[string][]argument{
	"values":         {devicesOrFile},
	"commands":       {turns},
	"sensors forget": {sensors},
	"modbus read":    {buses, readable},
	"modbus write":   {buses, writable, nothing},
	"modbus decode":  {buses},
	"modbus scan":    {buses, nothing},
	"modbus raw":     {buses, nothing},
	"cloud send":     {gateways, settings},
}

// flags are those that take a name, in each command that has them.
var flags = map[string]argument{"device": devices, "gateway": gateways, "bus": recorded}

// Add makes the commands below root complete names.
func Add(root *cobra.Command) {
	for _, c := range root.Commands() {
		Add(c)
		if c.ValidArgsFunction == nil && !c.HasSubCommands() {
			c.ValidArgsFunction = positional(c)
		}
		for name, a := range flags {
			if c.LocalFlags().Lookup(name) != nil {
				// It fails where the flag has a function already, and none has.
				_ = c.RegisterFlagCompletionFunc(name, a.complete)
			}
		}
	}
}

// positional returns what completes the arguments of c.
func positional(c *cobra.Command) cobra.CompletionFunc {
	_, path, _ := strings.Cut(c.CommandPath(), " ")
	return func(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if c.ValidateArgs(append(slices.Clone(args), typed)) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp // it takes no more
		}
		if n := len(args); n < len(arguments[path]) {
			return arguments[path][n].complete(c, args, typed)
		}
		return nil, cobra.ShellCompDirectiveDefault
	}
}

// complete is a [cobra.CompletionFunc].
func (a argument) complete(c *cobra.Command, args []string, typed string) ([]cobra.Completion,
	cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	at := asked{Context: ctx, args: args, typed: typed}
	at.gateway, _ = c.Flags().GetString("gateway") // where there is none it is ""
	at.via, _ = c.Flags().GetString("via")
	names, files := a(at)
	directive := cobra.ShellCompDirectiveNoFileComp
	if files {
		directive = cobra.ShellCompDirectiveDefault
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, typed) })
	if len(names) > 0 && !slices.ContainsFunc(names, whole) {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return names, directive
}

// whole reports whether nothing more has to be typed behind a completion.
func whole(c cobra.Completion) bool {
	name, _, _ := strings.Cut(c, "\t")
	return !strings.HasSuffix(name, ".") && !strings.HasSuffix(name, "=")
}

// described returns names as completions, with what is to be known of them, sorted.
func described(names map[string]string) (all []cobra.Completion) {
	for name, text := range names {
		all = append(all, cobra.CompletionWithDesc(name, text))
	}
	slices.Sort(all)
	return all
}

func nothing(asked) ([]cobra.Completion, bool) { return nil, false }

func turns(asked) ([]cobra.Completion, bool) { return []cobra.Completion{"off", "on"}, true }

// devices are all of the gateway.
func devices(at asked) ([]cobra.Completion, bool) { return described(at.names().devices), false }

// devicesOrFile are where a file may stand in their place.
func devicesOrFile(at asked) ([]cobra.Completion, bool) { return described(at.names().devices), true }

// sensors are devices that are known by their messages.
func sensors(at asked) ([]cobra.Completion, bool) {
	n := at.names()
	for name := range n.fields {
		delete(n.devices, name)
	}
	return described(n.devices), false
}

// buses are those of the gateway that --via names; without it a file or URL is meant.
func buses(at asked) ([]cobra.Completion, bool) {
	if at.via == "" {
		return nil, true
	}
	return described(at.names().buses), false
}

// readable are the devices of the file that stands before, and the points of the one
// that is typed.
func readable(at asked) ([]cobra.Completion, bool) {
	return described(at.ofFile().points(at.typed, "", "", func(p pointNamed) bool { return !p.writeOnly })), false
}

// writable are points that may be set.
func writable(at asked) ([]cobra.Completion, bool) {
	return described(at.ofFile().points(at.typed, ".", "", func(p pointNamed) bool { return p.writable })), false
}

// settings are points that may be set, as the cloud names them.
func settings(at asked) ([]cobra.Completion, bool) {
	at.gateway, at.args = at.args[0], nil
	return described(at.names().points(at.typed, ".", "=", func(p pointNamed) bool { return p.writable })), false
}

// gateways are those of the fleet, or the one of the file.
func gateways(at asked) ([]cobra.Completion, bool) {
	at.gateway = ""
	return described(at.fleet()), false
}

// recorded are the buses of which a file has recordings.
func recorded(at asked) ([]cobra.Completion, bool) {
	all := make(map[string]string)
	for _, file := range at.args {
		names, err := byhand.Recorded(file)
		if err != nil {
			continue
		}
		for _, name := range names {
			all[name] = file
		}
	}
	return described(all), false
}

// places are the files or folders that are named, or those of the working folder: the
// queue and what may be a configuration.
func (at asked) places() []string {
	named := at.args
	if at.via != "" {
		named = append(slices.Clone(named), at.via)
	}
	named = slices.DeleteFunc(slices.Clone(named), func(arg string) bool {
		_, err := os.Stat(arg)
		return err != nil
	})
	if len(named) > 0 {
		return named
	}
	here, err := os.ReadDir(".")
	if err != nil {
		return nil
	}
	for _, entry := range here {
		name := entry.Name()
		if entry.IsDir() && name == "queue" || strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
			named = append(named, name)
		}
		if len(named) == mostPlaces {
			break
		}
	}
	return named
}

// mostPlaces is how many files are looked at where none is named.
const mostPlaces = 10
