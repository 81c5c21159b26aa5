package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/configs/profiles"
	"fieldbridge/setting"
)

// profilesCommand lists the profiles that ship with the program, or shows one.
func profilesCommand() *cobra.Command {
	c := newCommand("profiles [NAME] [--json]", "list the profiles of well-known devices, or show one with its points", 1)
	asJSON := c.Flags().Bool("json", false, "print all of it as JSON")
	c.ValidArgsFunction = completeProfile
	c.Aliases = []string{"profile"}
	c.AddCommand(profilesImportCommand())
	return does(c, func(_ context.Context, args []string, stdout, stderr io.Writer) error {
		names := profiles.Names()
		if len(args) == 0 {
			return listProfiles(names, *asJSON, stdout, stderr)
		}
		p := profiles.Find(args[0])
		if p == nil {
			return misuse(fmt.Errorf("no profile %q: %s", args[0],
				setting.Meant(args[0], names, "'fieldbridge profiles' lists them")))
		}
		if *asJSON {
			return words.JSON(stdout, describe(p, true))
		}
		showProfile(p, stdout)
		return nil
	})
}

func completeProfile(_ *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
	if len(args) == 0 {
		for _, name := range profiles.Names() {
			if p := profiles.Find(name); p != nil {
				names = append(names, cobra.CompletionWithDesc(name, p.About))
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// described is a profile as JSON.
type described struct {
	Name     string          `json:"name"`
	About    string          `json:"about"`
	Maker    string          `json:"maker"`
	Models   []string        `json:"models"`
	Source   []string        `json:"source"`
	Verified string          `json:"verified"`
	Matches  []string        `json:"matches,omitempty"`
	Points   int             `json:"points"`
	Writable int             `json:"writable"`
	Device   json.RawMessage `json:"device,omitempty"` // its keys, as in a configuration
}

// describe returns what a profile is; with the keys of the device if
// whole.
func describe(p *profiles.Profile, whole bool) described {
	d := described{Name: p.Name, About: p.About, Maker: p.Maker, Models: p.Models, Source: p.Source,
		Verified: p.Verified, Matches: p.Matches}
	for _, m := range p.Tree.At("points").Members {
		d.Points++
		if m.Value.Get("writable") != nil {
			d.Writable++
		}
	}
	if whole {
		d.Device = p.Tree.JSON()
	}
	return d
}

func listProfiles(names []string, asJSON bool, stdout, stderr io.Writer) error {
	all := make([]described, 0, len(names))
	for _, name := range names {
		if p := profiles.Find(name); p != nil {
			all = append(all, describe(p, false))
		}
	}
	if asJSON {
		return words.JSON(stdout, all)
	}
	t := words.NewColumns(stdout)
	for _, d := range all {
		fmt.Fprintf(t, "%s\t%d points\t%s\n", d.Name, d.Points, d.About)
	}
	_ = t.Flush() // it writes where all else is written, too
	fmt.Fprintf(stderr, "%d profiles; 'fieldbridge profiles NAME' shows one, and a device says profile: NAME\n", len(all))
	return nil
}

// verified says what stands behind a profile.
var verified = map[string]string{
	"document": "read in the maker's document",
	"source":   "read in public sources",
	"device":   "read on a device",
}

func showProfile(p *profiles.Profile, out io.Writer) {
	fmt.Fprintf(out, "%s: %s\nmaker     %s\nmodels    %s\nverified  %s: %s\n", p.Name, p.About, p.Maker,
		strings.Join(p.Models, ", "), p.Verified, verified[p.Verified])
	for _, s := range p.Source {
		fmt.Fprintf(out, "source    %s\n", s)
	}
	if len(p.Matches) > 0 {
		fmt.Fprintf(out, "matches   %s\n", strings.Join(p.Matches, ", "))
	}
	for _, m := range p.Tree.Without("points").Members {
		fmt.Fprintf(out, "%-9s %s\n", m.Key, strings.Trim(string(m.Value.JSON()), `"`))
	}
	fmt.Fprintln(out)
	t := words.NewColumns(out)
	for _, m := range p.Tree.At("points").Members {
		place, rest := "", []string{}
		unit, kind := "", "uint16"
		for _, key := range m.Value.Members {
			switch text := string(key.Value.JSON()); key.Key {
			case "coil", "discrete":
				place, kind = key.Key+" "+key.Value.Text, "bool"
			case "input", "holding", "ref":
				place = key.Key + " " + key.Value.Text
			case "type":
				kind = key.Value.Text
			case "unit":
				unit = key.Value.Text
			default:
				rest = append(rest, key.Key+" "+text)
			}
		}
		cells := strings.Join([]string{m.Key, place, kind, unit, strings.Join(rest, ", ")}, "\t")
		fmt.Fprintln(t, strings.TrimRight(cells, "\t"))
	}
	_ = t.Flush()
}
