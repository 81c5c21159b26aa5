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

	"fieldbridge/bridge"
	"fieldbridge/configs"
	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot/identity"
)

// runIdentity runs a subcommand of identity.
func runIdentity(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "check" {
		return runIdentityCheck(ctx, args[1:], stdout, stderr)
	}
	if len(args) > 0 {
		flags := newFlags("identity", stderr)
		if rest, code, ok := parseFlags(flags, args, 1); !ok {
			return code
		} else if len(rest) > 0 {
			fmt.Fprintf(stderr, "fieldbridge identity: no command %q\n", rest[0])
		}
	}
	fmt.Fprintln(stderr, "fieldbridge identity: what? 'fieldbridge identity check FILE'")
	return exitUsage
}

// runIdentityCheck connects to the cloud once, step by step, and tells what it
// saw.
func runIdentityCheck(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := newFlags("identity", stderr)
	force := flags.Bool("connect", false, "send CONNECT even if the gateway runs: it loses its session for half a minute, its readings wait")
	gateway := flags.String("gateway", "", "the `NAME` of the gateway in a fleet file; by default its certificate's, else the host's")
	asJSON := flags.Bool("json", false, "print for programs")
	rest, code, ok := parseFlags(flags, args, 1)
	if !ok {
		return code
	}
	if len(rest) == 0 {
		fmt.Fprintln(stderr, "fieldbridge identity check: which file? 'fieldbridge identity check FILE'")
		return exitUsage
	}
	loaded, err := configs.LoadGateway(rest[0], *gateway)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	report := identity.Check(ctx, identityOptions(ctx, &loaded.Config, *force))
	code = exitDone
	if *asJSON {
		code = printJSON(stdout, stderr, report)
	} else {
		fmt.Fprint(stdout, report.Text())
	}
	if !report.OK {
		return exitFailed
	}
	return code
}

// identityOptions returns what to check. force connects beside a running
// gateway.
func identityOptions(ctx context.Context, c *configs.Config, force bool) identity.Options {
	o := identity.Options{Config: c.Northbound.AWSIoT, Gateway: c.Gateway, Synced: new(bridge.Clock).Synced, Built: builtAt()}
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
	return fmt.Sprintf("the gateway is running and connected for %s, so CONNECT works: %s", ago(s.Now.Sub(s.Link.Since)), why)
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
