package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/tell"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/configs"
	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot"
	"fieldbridge/northbound/awsiot/identity"
	"fieldbridge/northbound/awsiot/identity/life"
)

// identityCommand has what concerns key and certificate.
func identityCommand() *cobra.Command {
	return group("identity COMMAND", "check certificate and connection, get an identity and renew it", "",
		identityCheckCommand(), identityProvisionCommand(), identityRotateCommand(), identityCSRCommand(),
		identityInstallCommand())
}

// identityCheckCommand connects to the cloud once, step by step, and tells what it
// saw.
func identityCheckCommand() *cobra.Command {
	c := newCommand("check FILE [--gateway NAME] [--connect] [--json]",
		"check certificate and connection step by step, up to AWS's CONNACK", 1)
	force := c.Flags().Bool("connect", false,
		"send CONNECT even if the gateway runs, or may run elsewhere: it loses its session for half a minute, its "+
			"readings wait")
	gateway := c.Flags().String("gateway", "",
		"the `NAME` of the gateway in a fleet file; by default its certificate's, else the host's")
	asJSON := c.Flags().Bool("json", false, "print for programs")
	return does(c, func(ctx context.Context, args []string, stdout, _ io.Writer) error {
		if len(args) == 0 {
			return misuse(errors.New("which file? 'fieldbridge identity check FILE'"))
		}
		loaded, err := configs.LoadGateway(ctx, args[0], *gateway)
		if err != nil {
			return wrongFile(err)
		}
		report := identity.Check(ctx, identityOptions(ctx, &loaded.Config, *force))
		if !*asJSON {
			fmt.Fprint(stdout, report.Text())
		} else if err := words.JSON(stdout, report); err != nil {
			return err
		}
		if !report.OK {
			return exit(exitFailed)
		}
		return nil
	})
}

// identityOptions returns what to check. force connects beside a running
// gateway.
func identityOptions(ctx context.Context, c *configs.Config, force bool) identity.Options {
	north := &c.Northbound.AWSIoT
	o := identity.Options{Config: north.Config, Gateway: c.Gateway,
		StatusTopic: awsiot.StatusTopic(north, c.Gateway, c.Labels), Synced: new(bridge.Clock).Synced, Built: builtAt()}
	setIdentity(&o, c)
	if force {
		return o
	}
	dir := string(c.Store.Dir)
	switch o.Hold = sessionInUse(ctx, dir); {
	case o.Hold != "":
		o.HoldFix = "nothing, or add --connect: the gateway loses its session for half a minute, and nothing else"
	case !control.HoldsQueue(dir):
		// A copy of the file on a laptop: the gateway runs somewhere else.
		o.Hold = "no gateway has run here yet (there is no queue in " + dir + "), so the one with this identity may run " +
			"elsewhere: a second client with its client id would take its session over"
		o.HoldFix = "add --connect if it does not run anywhere, as before its first start"
	}
	return o
}

// setIdentity sets the identity that the gateway got for itself, or how it opens its
// files, and what there is to know of either.
func setIdentity(o *identity.Options, c *configs.Config) {
	north := &c.Northbound.AWSIoT
	l := lifeOf(c)
	choice := l.Choose(&north.Config, &north.Identity)
	status := l.Status(choice, &north.Config, &north.Identity)
	facts := []identity.Fact{{Key: "identity", Value: tell.Way(status)}}
	add := func(key, value string) {
		if value != "" {
			facts = append(facts, identity.Fact{Key: key, Value: value})
		}
	}
	add("key lives", tell.Key(status))
	if status.Trial {
		add("on trial", "until the cloud has acknowledged a message with it")
	}
	if !status.Rotates.IsZero() {
		add("a new one", "is made on "+status.Rotates.UTC().Format(time.DateOnly))
	}
	add("not used", strings.Join(status.Unused, ", "))
	o.Came, o.Pair = facts, choice.Pair
	if choice.Kind == life.Files {
		return
	}
	o.Managed = &identity.Managed{Folder: filepath.Join(string(c.Store.Dir), "identity"),
		Certificate: choice.Certificate(), Pair: choice.Own()}
}

// sessionInUse asks the gateway whose queue is in dir. It returns why not to
// connect in its name, "" if nobody does.
func sessionInUse(ctx context.Context, dir string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	data, err := control.Get(ctx, dir, "/status")
	if errors.Is(err, control.ErrNotRunning) {
		return ""
	}
	const why = "a second client with its client id would take its session over"
	if err != nil {
		// Who may not ask must not disturb what he cannot see.
		return fmt.Sprintf("the gateway may be running, it cannot be asked (%v): %s", err, why)
	}
	var s control.Status
	if err := json.Unmarshal(data, &s); err != nil || !s.Link.Connected {
		return "the gateway is running and not connected now: " + why
	}
	return fmt.Sprintf("the gateway is running and connected for %s, so CONNECT works: %s",
		words.Ago(s.Now.Sub(s.Link.Since)), why)
}

// builtAt returns when the program was made, as far as that is known: the time
// of its commit, else that of its file. Zero is unknown.
func builtAt() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil && s.Key == "vcs.time" {
				return t
			}
		}
	}
	file, err := os.Executable()
	if err != nil {
		return time.Time{}
	}
	info, err := os.Stat(file)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
