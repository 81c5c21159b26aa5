package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/bridge"
	"fieldbridge/cmd/fieldbridge/tell"
	"fieldbridge/configs"
	"fieldbridge/gateway/control"
	"fieldbridge/northbound/awsiot/identity/life"
	"fieldbridge/setting"
)

// lifeOf returns the identity of the gateway of a configuration.
func lifeOf(c *configs.Config) *life.Life {
	return life.New(life.Options{State: string(c.Store.Dir), Gateway: c.Gateway, Labels: c.Labels,
		Log: slog.New(slog.DiscardHandler), Synced: new(bridge.Clock).Synced})
}

// onConfig makes c a command on the configuration of one gateway, which it names as
// run does, and so many more arguments.
func onConfig(c *cobra.Command, more int,
	do func(ctx context.Context, c *configs.Config, args []string, stdout, stderr io.Writer) error) *cobra.Command {
	gateway := c.Flags().String("gateway", "",
		"the `NAME` of the gateway in a fleet file; by default its certificate's, else the host's")
	return wants(c, 1+more, func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		loaded, err := configs.LoadGateway(ctx, args[0], *gateway)
		if err != nil {
			return wrongFile(err)
		}
		return do(ctx, &loaded.Config, args[1:], stdout, stderr)
	})
}

func identityProvisionCommand() *cobra.Command {
	c := newCommand("provision FILE [--claim DIR] [--gateway NAME]",
		"get an identity now, by a claim that somebody had made for this gateway", 1)
	claim := c.Flags().String("claim", "", "the `FOLDER` with certificate and key of the claim; it may come later: the "+
		"gateway's key is made first, and the claim is used as soon as it is there")
	return onConfig(c, 0, func(ctx context.Context, c *configs.Config, _ []string, _, stderr io.Writer) error {
		settings := c.Northbound.AWSIoT.Identity
		if *claim != "" {
			dir, err := filepath.Abs(*claim)
			if err != nil {
				return misuse(err)
			}
			settings.Provision.Claim = setting.Path(dir)
		}
		if settings.Provision.Template == "" || settings.Provision.Claim == "" {
			return misuse(errors.New("name the template in northbound.awsiot.identity.provision, and the claim there or by " +
				"--claim"))
		}
		return provision(ctx, c, &settings, stderr)
	})
}

// provision gets an identity by a claim, which may come later.
func provision(ctx context.Context, c *configs.Config, s *life.Settings, stderr io.Writer) error {
	l := lifeOf(c)
	if err := l.Ready(ctx, s.Key); err != nil {
		return err
	}
	dir := string(s.Provision.Claim)
	by, err := l.By(dir)
	if err != nil {
		fmt.Fprintf(stderr, "the gateway's key is ready; waiting for the claim in %s (%s)\n", dir,
			"aws iot create-provisioning-claim --template-name "+s.Provision.Template)
	} else {
		fmt.Fprintf(stderr, "the gateway's key is ready; using the claim in %s\n", dir)
	}
	for look := time.NewTicker(time.Second); err != nil; by, err = l.By(dir) {
		select {
		case <-ctx.Done():
			return err
		case <-look.C:
		}
	}
	err = l.ProvisionNow(ctx, by, &c.Northbound.AWSIoT.Config, s, func(why string) { fmt.Fprintln(stderr, why) })
	if err != nil {
		return err
	}
	fmt.Fprintln(stderr, "the cloud has given the gateway an identity; "+nextUse(c))
	return nil
}

// nextUse says when an identity on trial is used.
func nextUse(c *configs.Config) string {
	if control.HoldsQueue(string(c.Store.Dir)) {
		return "the gateway connects with it within a few seconds, or at its next start, and keeps it when the cloud has " +
			"acknowledged a message: 'fieldbridge status' tells"
	}
	return "'fieldbridge run' connects with it, and keeps it when the cloud has acknowledged a message"
}

func identityCSRCommand() *cobra.Command {
	c := newCommand("csr FILE [--gateway NAME]",
		"print a certificate request of this gateway, for an authority of your own", 1)
	return onConfig(c, 0, func(ctx context.Context, c *configs.Config, _ []string, stdout, _ io.Writer) error {
		request, err := lifeOf(c).Request(ctx, c.Northbound.AWSIoT.Identity.Key)
		if err != nil {
			return err
		}
		_, err = stdout.Write(request)
		return err
	})
}

func identityInstallCommand() *cobra.Command {
	c := newCommand("install FILE CERTIFICATE [--gateway NAME]",
		"take the certificate that an authority has made of the gateway's request", 2)
	return onConfig(c, 1, func(ctx context.Context, c *configs.Config, args []string, _, stderr io.Writer) error {
		answer, err := os.ReadFile(args[0])
		if err != nil {
			return misuse(err)
		}
		notes, err := lifeOf(c).Install(ctx, answer)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		for _, n := range notes {
			fmt.Fprintln(stderr, n)
		}
		fmt.Fprintln(stderr, "the certificate is installed; "+nextUse(c))
		return nil
	})
}

// rotateTimeout is how long a new identity may take: the cloud's answers, a minute for
// it to be known everywhere, and a few attempts to connect.
const rotateTimeout = 5 * time.Minute

func identityRotateCommand() *cobra.Command {
	c := newCommand("rotate [FILE | DIR]",
		"have the running gateway make a new key and certificate, and keep them if the cloud takes them", 1)
	return does(c, func(ctx context.Context, args []string, _, stderr io.Writer) error {
		dir, err := queueDir(ctx, args)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, rotateTimeout)
		defer cancel()
		status, err := control.RotatePage.Ask(ctx, dir, control.Rotate{})
		if err != nil {
			return err
		}
		fmt.Fprintln(stderr, "the gateway has a new certificate")
		tell.Identity(stderr, &status, time.Now())
		return nil
	})
}
