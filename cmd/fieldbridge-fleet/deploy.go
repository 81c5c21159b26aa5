package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/bundle"
	"fieldbridge/cmd/fieldbridge-fleet/account"
	"fieldbridge/cmd/fieldbridge-fleet/rollout"
	"fieldbridge/configs"
	"fieldbridge/setting"
)

// wanted is what a fleet file says.
type wanted struct {
	packed   []byte // the file and all that it includes
	sum      string // its SHA-256
	gateways map[string]gateway
	deaf     deaf
}

// deaf is which gateways of the file will not do what they are told, by the reason.
type deaf map[string][]string

// note notes whether a gateway does what it is told with a configuration.
func (d deaf) note(name string, c *configs.Config) {
	for _, operation := range []string{"config", "update"} {
		if !slices.Contains(c.Northbound.AWSIoT.Jobs, operation) {
			d[operation] = append(d[operation], name)
		}
	}
	if len(c.Updates.Keys)+len(c.Updates.Roots) == 0 {
		d[""] = append(d[""], name)
	}
}

// warn tells at w which gateways will not take an operation.
func (d deaf) warn(w io.Writer, operation string) {
	tell := func(names []string, text string) {
		if len(names) > 0 {
			fmt.Fprintf(w, "warning: %s: %s\n", some(names), text)
		}
	}
	tell(d[operation], "northbound.awsiot.jobs does not name "+operation+": no such job is taken with this file")
	tell(d[""], "updates.keys and updates.roots are empty: nothing that is signed is taken with this file")
}

// gateway is one of the file.
type gateway struct {
	groups []string
	hash   string // of its configuration; "" where it needs values that are not here
}

// load reads a fleet file, checks all its gateways and packs it.
func load(ctx context.Context, file string) (wanted, error) {
	fleet, err := configs.LoadFleet(ctx, file)
	if err != nil {
		return wanted{}, usageError{err}
	}
	all, err := fleet.LoadAll()
	if err != nil {
		return wanted{}, usageError{err}
	}
	w := wanted{gateways: map[string]gateway{}, deaf: deaf{}}
	for i, l := range all {
		g := gateway{groups: fleet.Gateways[i].Groups, hash: l.Hash}
		if len(l.Missing) > 0 {
			g.hash = ""
		}
		w.gateways[fleet.Gateways[i].Name] = g
		w.deaf.note(fleet.Gateways[i].Name, &l.Config)
	}
	b := bundle.Bundle{Main: filepath.Base(file), Files: map[string]string{}}
	for _, f := range fleet.Files {
		text, err := os.ReadFile(f)
		if err != nil {
			return wanted{}, usageError{err}
		}
		name, err := filepath.Rel(filepath.Dir(file), f)
		if err != nil {
			return wanted{}, usageError{err}
		}
		b.Files[filepath.ToSlash(name)] = string(text)
	}
	if w.packed, err = b.Pack(); err != nil {
		return wanted{}, usageError{err}
	}
	sum := sha256.Sum256(w.packed)
	w.sum = hex.EncodeToString(sum[:])
	return w, nil
}

func checkCommand() *cobra.Command {
	return &cobra.Command{Use: "check FLEET.yaml", Short: "check all gateways of a fleet file, and what would travel",
		Long: "It needs no credentials: for a pipeline that looks at what is not merged yet.",
		Args: takes(cobra.ExactArgs(1)), RunE: func(c *cobra.Command, args []string) error {
			want, err := load(c.Context(), args[0])
			if err != nil {
				return err
			}
			want.deaf.warn(c.ErrOrStderr(), "config")
			_, err = fmt.Fprintf(c.OutOrStdout(), "%d gateways are right; %d bytes travel to each\n", len(want.gateways),
				len(want.packed))
			return err
		}}
}

func deployCommand() *cobra.Command {
	c := &cobra.Command{Use: "deploy FLEET.yaml [--group NAME] [--then NAME] --bucket BUCKET --key FILE",
		Short: "bring a fleet file to the gateways that run another one, group by group", Args: takes(cobra.ExactArgs(1)),
		Long: stagesAre}
	var cs campaign
	cs.add(c, 60)
	confirm := c.Flags().Duration("confirm", 5*time.Minute, "how long it is on trial on a gateway, 1s to 1h")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := cs.check(); err != nil {
			return usageError{err}
		}
		if *confirm < time.Second || *confirm > time.Hour {
			return usageError{errors.New("--confirm is 1s to 1h")}
		}
		want, err := load(c.Context(), args[0])
		if err != nil {
			return err
		}
		want.deaf.warn(c.ErrOrStderr(), "config")
		parts, err := want.split(cs.groups)
		if err != nil {
			return usageError{err}
		}
		return cs.run(c, parts, func(found []account.Gateway) []cargo {
			state := map[string]string{}
			for _, r := range compare(found, want) {
				state[r.Name] = r.State
			}
			return []cargo{{operation: "config", title: "configuration " + want.sum[:nameSum], sum: want.sum,
				content: want.packed, ending: ".gz",
				what: rollout.Config{Content: rollout.Content{SHA256: want.sum, Size: int64(len(want.packed))},
					Confirm: setting.Duration(*confirm)},
				fits:  func(name string) bool { return true },
				needs: func(name string) bool { return state[name] != current && state[name] != missing }}}
		})
	}
	return c
}
