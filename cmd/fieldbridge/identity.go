package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/words"
	"fieldbridge/configs"
	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot"
	"fieldbridge/northbound/awsiot/identity"
)

// identityCommand has what concerns key and certificate.
func identityCommand() *cobra.Command {
	return group("identity COMMAND", "check certificate and connection step by step, up to AWS's CONNACK", "",
		identityCheckCommand())
}

// identityCheckCommand connects to the cloud once, step by step, and tells what it
// saw.
func identityCheckCommand() *cobra.Command {
	c := newCommand("check FILE [--gateway NAME] [--connect] [--json]",
		"check certificate and connection step by step, up to AWS's CONNACK", 1)
	force := c.Flags().Bool("connect", false,
		"send CONNECT even if the gateway runs: it loses its session for half a minute, its readings wait")
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
		} else if err := printJSON(stdout, report); err != nil {
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
	if force {
		return o
	}
	if o.Hold = sessionInUse(ctx, string(c.Store.Dir)); o.Hold != "" {
		o.HoldFix = "nothing, or add --connect: the gateway loses its session for half a minute, and nothing else"
	}
	return o
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
