package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fieldbridge/cmd/fieldbridge/decoded"
	"fieldbridge/cmd/fieldbridge/demo"
	"fieldbridge/cmd/fieldbridge/words"
)

func cloudCommand() *cobra.Command {
	c := newCommand("cloud [--listen 127.0.0.1:8883] [--dir cloud]",
		"run the local stand-in for AWS IoT Core, to try a gateway against", 0)
	var o demo.CloudOptions
	c.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:8883", "`ADDRESS` and port")
	c.Flags().StringVar(&o.Dir, "dir", "cloud",
		"`FOLDER` for the CA, the certificates and keys; those of an earlier run are used again")
	c.Flags().StringVar(&o.Thing, "thing", "press-line-2",
		"`NAME` of the thing whose certificate is made: the gateway's name")
	c.Flags().BoolVar(&o.Table, "table", false, "print readings, one a line, in place of messages")
	c.AddCommand(cloudSendCommand())
	return does(c, func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
		if err := demo.Cloud(ctx, o, stdout, stderr); err != nil {
			return err
		}
		return nil
	})
}

func cloudSendCommand() *cobra.Command {
	c := newCommand("send THING DEVICE.POINT=VALUE [flags]",
		"have the running stand-in send a command to a gateway, and print what became of it", 2)
	dir := c.Flags().String("dir", "cloud", "`FOLDER` of the running stand-in")
	var o demo.Order
	c.Flags().StringVar(&o.Topic, "topic", "", "send it to this `TOPIC`, the gateway's commands.topic, in place of an "+
		"execution; the gateway's clock has to be known to be right")
	c.Flags().DurationVar(&o.Wait, "timeout", 30*time.Second, "how long it may take")
	asJSON := c.Flags().Bool("json", false, "print for programs")
	return does(c, func(ctx context.Context, args []string, stdout, _ io.Writer) (err error) {
		if len(args) < 2 {
			return misuse(fmt.Errorf("usage: fieldbridge cloud %s: -h tells more", c.Use))
		}
		o.Thing = args[0]
		if o.Payload, err = demo.ParseOrder(args[1]); err != nil {
			return misuse(err)
		}
		is, err := demo.Send(ctx, *dir, o)
		if err != nil {
			return err
		}
		if *asJSON {
			err = words.JSON(stdout, is)
		} else {
			_, err = fmt.Fprintln(stdout, strings.TrimSpace(fmt.Sprintf("%s %s %s", is.Status, is.Reason, is.Answer)))
		}
		if err == nil && !is.OK() {
			return exit(exitFailed)
		}
		return err
	})
}

func decodeCommand() *cobra.Command {
	c := newCommand("decode [FILE] [--catalog FILE]...",
		"print messages of format protobuf as JSON of format rows", 1)
	catalogues := c.Flags().StringArray("catalog", nil, "a `FILE` with messages of the status topic, one a line: the "+
		"catalogue in them has the numbers of the points")
	c.RunE = func(c *cobra.Command, args []string) error {
		in := c.InOrStdin()
		if len(args) > 0 && args[0] != "-" {
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = file.Close() }()
			in = file
		}
		return decoded.Print(c.OutOrStdout(), in, *catalogues)
	}
	return c
}
